/**
 * Processes for tests of the fan-out. As `worker` it follows its parent's feed, and reports what it heard; as `supervisor`
 * it has a feed and a worker of its own, so that it can be killed.
 */
import { fork } from 'node:child_process';
import { createFeed, createIpcChannel, createRelayedFeed, FanOut } from '../feed/index.ts';

export interface WorkerReport {
  readonly kind: 'report';
  /** `commit <xid>` and `epoch <number>`, in order. */
  readonly log: readonly string[];
  readonly isFresh: boolean;
  readonly position: bigint;
}

const [role, url = ''] = process.argv.slice(2);
if (role === 'worker') await work();
if (role === 'supervisor') await supervise();

async function work(): Promise<void> {
  const feed = createRelayedFeed({ channel: createIpcChannel(process) });
  const log: string[] = [];
  feed.on('commit', ({ xid }) => log.push(`commit ${xid}`));
  feed.on('epoch', (epoch) => log.push(`epoch ${epoch}`));
  process.on('message', (message: { kind?: unknown }) => {
    if (message.kind !== 'report') return;
    process.send?.({ kind: 'report', log, isFresh: feed.isFresh(), position: feed.position } satisfies WorkerReport);
  });
  await feed.start();
  // Added last, so called last.
  process.on('disconnect', () => {
    process.stdout.write(`the supervisor is gone; fresh: ${feed.isFresh()}\n`, () => process.exit(0));
  });
  process.stdout.write(`following; fresh: ${feed.isFresh()}\n`);
}

async function supervise(): Promise<void> {
  const feed = createFeed({ connection: url });
  const fanOut = new FanOut({ source: feed });
  await feed.start();
  fanOut.add(createIpcChannel(fork(import.meta.filename, ['worker'], { serialization: 'advanced' })));
}
