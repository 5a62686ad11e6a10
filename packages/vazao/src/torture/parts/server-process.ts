/**
 * A server program that runs as our child: started, signalled by its own process id, and never left behind.
 *
 * On Linux the kernel ends it when this process is gone, however that came about (`setpriv --pdeathsig`); elsewhere it is
 * ended when this process exits in order. Signals to this process are left to whoever handles them.
 */
import type { ChildProcess } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { type Account, giveTo, spawnAs } from '../../runtime/embedded-account.ts';
import { untilTold } from './bounded.ts';
import { PartError } from './errors.ts';
import { isAtWork, listChildren, sendSignal } from './process-table.ts';

const GONE_TIMEOUT_MS = 10_000;
const LOG_SHOWN_CHARACTERS_MAX = 1_000;

export interface ServerProgram {
  readonly name: string;
  readonly command: string;
  readonly words: readonly string[];
  readonly account: Account | undefined;
  readonly folder: string;
  readonly logFile: string;
}

export interface ServerProcess {
  readonly pid: number;
  readonly isRunning: boolean;
  signal(name: NodeJS.Signals): void;
  /** Resolves when it has ended; after the bound it is cut off, and this throws {@link PartError}. */
  ended(timeoutMs: number): Promise<void>;
  /** Cuts it off together with its children, as a power failure does; when this resolves none of them runs any more. */
  kill(): Promise<void>;
}

/** Starts the program, and waits until `isReady` says so. Throws {@link PartError} with the end of its log. */
export async function startServerProcess(
  program: ServerProgram,
  isReady: () => Promise<boolean>,
  timeoutMs: number,
): Promise<ServerProcess> {
  const child = launch(program);
  const server = follow(child, program.name);
  try {
    await untilTold(
      `${program.name} accepts connections`,
      async () => {
        if (!server.isRunning) throw new Error('it ended');
        // What answers may be another program that was faster to take the port.
        return (await isReady()) && server.isRunning;
      },
      timeoutMs,
    );
    return server;
  } catch (cause) {
    await server.kill();
    const said = await readFile(program.logFile, 'utf8').catch(() => '');
    throw new PartError(
      'ERR_PART_START',
      `${program.name} did not start. Its last words in ${program.logFile}: ${said.slice(-LOG_SHOWN_CHARACTERS_MAX).trim() || '(none)'}`,
      { cause },
    );
  }
}

function launch({ command, words, account, folder, logFile }: ServerProgram): ChildProcess {
  const log = openSync(logFile, 'a', 0o600);
  giveTo(account, logFile);
  // Node's own user change comes before the program, so the wish is made by the user that the server runs as.
  const bound = process.platform === 'linux' ? ['setpriv', '--pdeathsig', 'KILL', '--', command] : [command];
  const [first = command, ...rest] = bound;
  const child = spawnAs(account, first, [...rest, ...words], { cwd: folder, stdio: ['ignore', log, log] });
  closeSync(log);
  return child;
}

function follow(child: ChildProcess, name: string): ServerProcess {
  const pid = child.pid ?? 0;
  let isRunning = pid > 0;
  const atExit = (): void => void child.kill('SIGKILL');
  process.once('exit', atExit);
  const { promise: end, resolve } = Promise.withResolvers<void>();
  const onEnd = (): void => {
    isRunning = false;
    process.off('exit', atExit);
    resolve();
  };
  child.once('exit', onEnd).once('error', onEnd);
  child.unref(); // its user holds the process open, by what it waits for
  const kill = async (): Promise<void> => {
    if (!isRunning) return;
    child.kill('SIGSTOP'); // so that it makes no more children while they are counted
    const family = [pid, ...listChildren(pid)];
    for (const member of family) sendSignal(member, 'SIGKILL');
    await untilTold(`no process of ${name} is left`, () => !isRunning && !family.some(isAtWork), GONE_TIMEOUT_MS);
  };
  return {
    pid,
    get isRunning() {
      return isRunning;
    },
    signal: (signal) => void (isRunning && child.kill(signal)),
    async ended(timeoutMs) {
      const timer = Promise.withResolvers<'late'>();
      const timeout = setTimeout(() => timer.resolve('late'), timeoutMs);
      const outcome = await Promise.race([end, timer.promise]);
      clearTimeout(timeout);
      if (outcome !== 'late') return;
      await kill();
      throw new PartError(
        'ERR_PART_TIMEOUT',
        `${name} did not stop within ${timeoutMs} ms, and was cut off. A "smart" stop waits for open connections: close them, or ask for "fast".`,
      );
    },
    kill,
  };
}
