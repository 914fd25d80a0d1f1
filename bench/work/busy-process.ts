import { spawn } from 'node:child_process';
import type { Contender } from '../../dist/cli/bench/rounds.js';

/** The same work while another process keeps a core busy; null where processes cannot be stopped and let go on. */
export function besideBusyProcess({ name, burst }: Contender): { contender: Contender; end: () => void } | null {
  if (process.platform === 'win32') return null;
  const child = spawn(process.execPath, ['-e', 'for (;;);'], { stdio: 'ignore' });
  child.kill('SIGSTOP');
  const contender = {
    name: `${name}, beside a busy process`,
    burst: async () => {
      child.kill('SIGCONT');
      try {
        return await burst();
      } finally {
        child.kill('SIGSTOP');
      }
    },
  };
  return { contender, end: () => void child.kill('SIGKILL') };
}
