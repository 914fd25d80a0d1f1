import assert from 'node:assert/strict';
import { spawn, type ChildProcess } from 'node:child_process';
import { createHmac, randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { stripVTControlCharacters } from 'node:util';
import { Dealer, Request, Subscriber } from 'zeromq';

// A client of Jupyter's protocol of its own, written after the protocol's description and not after the kernel.

const SPEC = fileURLToPath(new URL('../../jupyter/kernels/nibblelens/', import.meta.url));
const DELIMITER = '<IDS|MSG>';
const START_MS = 30_000;

/** Why tests of the kernel are skipped here, or false. */
export const skip = existsSync(new URL('../../dist/index.js', import.meta.url)) ? false : 'dist is not built';

type Content = Record<string, unknown>;

export interface Message {
  type: string;
  content: Content;
}

/** All that a kernel said of one request, from its busy to its idle. */
export interface Exchange {
  reply: Content;
  /** Messages on iopub, in order. */
  published: Message[];
}

interface Pending {
  reply?: Content;
  published: Message[];
  idle: boolean;
  done(exchange: Exchange): void;
  fail(error: Error): void;
}

/** Ports of 127.0.0.1 that nobody uses now. */
async function freePorts(count: number): Promise<number[]> {
  const servers = Array.from({ length: count }, () => createServer().listen(0, '127.0.0.1'));
  await Promise.all(servers.map((server) => once(server, 'listening')));
  const ports = servers.map((server) => (server.address() as AddressInfo).port);
  await Promise.all(servers.map((server) => once(server.close(), 'close')));
  return ports;
}

/** The kernel in a process of its own, started as its kernelspec says. */
export class Kernel {
  /** Messages whose request is answered in full already, or was none of this client's. */
  readonly late: Message[] = [];
  readonly process: ChildProcess;
  readonly #folder: string;
  readonly #key = randomUUID();
  readonly #session = randomUUID();
  readonly #pending = new Map<string, Pending>();
  readonly #awaited: { type: string; hear(message: Message): void }[] = [];
  readonly #shell = new Dealer({ linger: 0 });
  readonly #control = new Dealer({ linger: 0 });
  readonly #iopub = new Subscriber({ linger: 0 });
  readonly #heartbeat = new Request({ linger: 0 });

  private constructor(cwd: string, [shell, control, iopub, stdin, heartbeat]: readonly number[]) {
    this.#folder = mkdtempSync(join(tmpdir(), 'nibblelens-kernel-'));
    const connection = {
      transport: 'tcp',
      ip: '127.0.0.1',
      key: this.#key,
      signature_scheme: 'hmac-sha256',
      shell_port: shell,
      control_port: control,
      iopub_port: iopub,
      stdin_port: stdin,
      hb_port: heartbeat,
    };
    const file = join(this.#folder, 'connection.json');
    writeFileSync(file, JSON.stringify(connection));
    const { argv } = JSON.parse(readFileSync(join(SPEC, 'kernel.json'), 'utf8')) as { argv: string[] };
    const [, ...args] = argv.map((word) => word.replace('{resource_dir}', SPEC).replace('{connection_file}', file));
    this.process = spawn(process.execPath, args, { cwd, stdio: ['ignore', 'ignore', 'inherit'] });
    for (const [socket, port] of [
      [this.#shell, shell],
      [this.#control, control],
      [this.#iopub, iopub],
      [this.#heartbeat, heartbeat],
    ] as const) {
      socket.connect(`tcp://127.0.0.1:${port}`);
    }
    this.#iopub.subscribe();
    this.process.on('exit', (code, signal) => {
      for (const { fail } of this.#pending.values()) fail(new Error(`the kernel ended with ${code ?? signal}`));
    });
    for (const socket of [this.#shell, this.#control, this.#iopub]) void this.#listen(socket);
  }

  /** Starts a kernel in a folder, and waits until it answers and its iopub channel is heard. */
  static async start(cwd: string): Promise<Kernel> {
    const kernel = new Kernel(cwd, await freePorts(5));
    const giveUp = performance.now() + START_MS;
    // What is published before the subscription has arrived is lost, and so is that request's idle.
    for (;;) {
      const answered = await Promise.race([kernel.request('kernel_info_request').then(() => true), sleep(1000, false)]);
      if (answered) return kernel;
      if (performance.now() > giveUp || kernel.process.exitCode !== null) throw new Error('the kernel does not answer');
    }
  }

  async #listen(socket: Dealer | Subscriber): Promise<void> {
    for await (const frames of socket) {
      const texts = frames.map(String);
      const at = texts.indexOf(DELIMITER);
      const [signature, ...parts] = texts.slice(at + 1, at + 6);
      if (signature !== this.#sign(parts)) throw new Error('a message of the kernel bears a wrong signature');
      const [header, parent, , content] = parts.map((part) => JSON.parse(part) as Content);
      this.#take(String(header['msg_type']), String(parent['msg_id']), content);
    }
  }

  #sign(parts: readonly string[]): string {
    return parts.reduce((hash, part) => hash.update(part), createHmac('sha256', this.#key)).digest('hex');
  }

  #take(type: string, id: string, content: Content): void {
    const message = { type, content };
    for (const one of this.#awaited.filter((other) => other.type === type)) {
      this.#awaited.splice(this.#awaited.indexOf(one), 1);
      one.hear(message);
    }
    const pending = this.#pending.get(id);
    if (!pending) {
      this.late.push(message);
      return;
    }
    if (type.endsWith('_reply')) pending.reply = content;
    else pending.published.push(message);
    if (type === 'status' && content['execution_state'] === 'idle') pending.idle = true;
    if (!pending.idle || !pending.reply) return;
    this.#pending.delete(id);
    const { reply, published } = pending;
    pending.done({ reply, published });
  }

  /** Sends a request and waits for its reply and its idle, in whichever order they come. */
  request(type: string, content: Content = {}, channel: 'shell' | 'control' = 'shell'): Promise<Exchange> {
    const id = this.#send(type, content, channel);
    return new Promise((done, fail) => {
      this.#pending.set(id, { published: [], idle: false, done, fail });
    });
  }

  /** Sends what the kernel may leave without an answer. */
  tell(type: string, content: Content = {}): void {
    this.#send(type, content, 'shell');
  }

  #send(type: string, content: Content, channel: 'shell' | 'control'): string {
    const id = randomUUID();
    const header = {
      msg_id: id,
      session: this.#session,
      username: 'tester',
      date: new Date().toISOString(),
      msg_type: type,
      version: '5.3',
    };
    const parts = [JSON.stringify(header), '{}', '{}', JSON.stringify(content)];
    const socket = channel === 'shell' ? this.#shell : this.#control;
    void socket.send([DELIMITER, this.#sign(parts), ...parts]);
    return id;
  }

  execute(code: string, options: Content = {}): Promise<Exchange> {
    return this.request('execute_request', {
      code,
      silent: false,
      store_history: true,
      user_expressions: {},
      allow_stdin: false,
      stop_on_error: true,
      ...options,
    });
  }

  /** Runs a cell that must succeed; gives its last value as text. */
  async value(code: string): Promise<string | undefined> {
    const exchange = await this.execute(code);
    assert.equal(
      exchange.reply['status'],
      'ok',
      `${code}\n${exchange.reply['status'] === 'error' ? traceback(exchange) : ''}`,
    );
    return resultText(exchange);
  }

  /** Runs a cell that must fail. */
  async failure(code: string): Promise<Exchange> {
    const exchange = await this.execute(code);
    assert.equal(exchange.reply['status'], 'error', code);
    return exchange;
  }

  /** The next message of a type, whatever it is about. */
  heard(type: string): Promise<Message> {
    return new Promise((hear) => this.#awaited.push({ type, hear }));
  }

  /** The stop button. */
  interrupt(): Promise<Exchange> {
    return this.request('interrupt_request', {}, 'control');
  }

  /** Sends a heartbeat and waits for its echo. */
  async heartbeat(): Promise<void> {
    await this.#heartbeat.send('beat');
    await this.#heartbeat.receive();
  }

  /** Ends the kernel as a server does, and gives its exit status. */
  async stop(): Promise<number | null> {
    if (this.process.exitCode === null) {
      const exit = once(this.process, 'exit');
      this.#send('shutdown_request', { restart: false }, 'control');
      await exit;
    }
    for (const socket of [this.#shell, this.#control, this.#iopub, this.#heartbeat]) socket.close();
    rmSync(this.#folder, { recursive: true });
    return this.process.exitCode;
  }
}

/** The text that an exchange printed to one stream. */
export const printed = ({ published }: Exchange, stream: 'stdout' | 'stderr' = 'stdout'): string =>
  published
    .filter(({ type, content }) => type === 'stream' && content['name'] === stream)
    .map(({ content }) => content['text'])
    .join('');

/** The value of a cell's last expression, as plain text. */
export function resultText({ published }: Exchange): string | undefined {
  const data = published.find(({ type }) => type === 'execute_result')?.content['data'];
  return (data as Record<string, string> | undefined)?.['text/plain'];
}

/** The kinds of messages in order, with the state in place of 'status'. */
export const types = ({ published }: Exchange): string[] =>
  published.map(({ type, content }) => (type === 'status' ? String(content['execution_state']) : type));

/** An error's traceback as plain text. */
export const traceback = ({ reply }: Exchange): string =>
  stripVTControlCharacters((reply['traceback'] as string[]).join('\n'));

/** A new folder for a kernel to work in. */
export const kernelFolder = (): string => realpathSync(mkdtempSync(join(tmpdir(), 'nibblelens-kernel-test-')));

/** Stops a kernel and removes its folder; fails if the kernel did not end by itself, with status 0. */
export async function endInOrder(kernel: Kernel, folder: string): Promise<void> {
  const status = await kernel.stop();
  rmSync(folder, { recursive: true });
  assert.deepEqual([status, kernel.process.signalCode], [0, null], 'the kernel did not end in an orderly way');
}
