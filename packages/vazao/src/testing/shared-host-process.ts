/** A {@link SharedHost} in a process of its own, so that it can be killed. Told what to read, it answers with what it found. */
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import pg from 'pg';
import { type Answer, SharedHost, type SharedHostOptions } from './shared-host.ts';

type ProcessOptions = Omit<SharedHostOptions, 'database'> & { readonly databaseUrl: string };
type Message = { readonly role: 'leader' | 'follower' } | { readonly answer: Answer };

/** One in another process. */
export class HostProcess implements AsyncDisposable {
  readonly #child: ChildProcess;
  /** Whether it leads the relay, as it last said. */
  isLeading = false;
  readonly #answers: Answer[] = [];

  private constructor(child: ChildProcess) {
    this.#child = child;
    child.on('message', (message: Message) => {
      if ('role' in message) this.isLeading = message.role === 'leader';
      else this.#answers.push(message.answer);
    });
  }

  /** Resolves when it can be asked. */
  static async start(options: ProcessOptions): Promise<HostProcess> {
    const child = fork(import.meta.filename, [JSON.stringify(options)]);
    const host = new HostProcess(child);
    await once(child, 'message');
    return host;
  }

  /** What came of {@link ask}, in the order in which it ended. */
  get answers(): readonly Answer[] {
    return this.#answers;
  }

  ask(text: string): void {
    this.#child.send(text);
  }

  /** SIGKILL; resolves when it is gone. */
  async kill(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const gone = once(this.#child, 'exit');
    this.#child.kill('SIGKILL');
    await gone;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.kill();
  }
}

if (import.meta.main) await serve(JSON.parse(process.argv[2] as string) as ProcessOptions);

async function serve({ databaseUrl: url, ...options }: ProcessOptions): Promise<void> {
  const database = { url, pool: new pg.Pool({ connectionString: url, max: 1 }) };
  const host = await SharedHost.start({ ...options, database });
  const tell = (message: Message): void => void process.send?.(message);
  process.on('message', (text: string) => {
    void host.read(text).then((answer) => tell({ answer }));
  });
  process.on('disconnect', () => process.exit(0));
  const tellRole = (): void => tell({ role: host.relay?.status.epoch === undefined ? 'follower' : 'leader' });
  setInterval(tellRole, 20);
}
