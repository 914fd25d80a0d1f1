"""Runs a command on a terminal of its own and talks to it: terminal.py STEPS COMMAND ARG…

STEPS is JSON, a list of [text to wait for, text to type]. Prints JSON: what the terminal showed, and the exit status.
"""
import json
import os
import pty
import select
import sys
import time

SECONDS = 60

steps, command = json.loads(sys.argv[1]), sys.argv[2:]
pid, terminal = pty.fork()
if pid == 0:
    os.execvp(command[0], command)

shown, seen, end = b"", 0, time.monotonic() + SECONDS
while time.monotonic() < end:
    if steps and (at := shown.find(steps[0][0].encode(), seen)) >= 0:
        seen = at + len(steps[0][0].encode())
        os.write(terminal, steps.pop(0)[1].encode())
        continue
    if not select.select([terminal], [], [], 0.1)[0]:
        continue
    try:
        data = os.read(terminal, 65536)
    except OSError:  # the other side is closed
        data = b""
    if not data:
        break
    shown += data
else:
    os.kill(pid, 9)
status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
print(json.dumps({"shown": shown.decode("utf-8", "replace"), "left": len(steps), "status": status}))
