/**
 * How connections reach workers: four ways, in turns, with few and many clients that keep their connections, and with a
 * connection for each request. Prints a Markdown table.
 *
 *   own      each worker has a socket of its own (SO_REUSEPORT); the kernel chooses one by a hash of the addresses
 *   held     the same, but the supervisor has made the sockets and holds them; workers inherit one each
 *   shared   one socket, which the supervisor holds, and from which whichever worker is idle takes the next connection
 *   cluster  node:cluster's own (SCHED_RR): the primary accepts, and hands each connection to the next worker
 *
 *   node bench/balance.ts [rounds] [seconds of each measurement] [workers]
 */
import { type ChildProcess, execFile, fork } from 'node:child_process';
import cluster from 'node:cluster';
import { once } from 'node:events';
import { BoundSocket, createServer } from 'node:net';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { median } from './load.ts';

const WORKER = fileURLToPath(new URL('./balance-worker.ts', import.meta.url));
const WAYS = ['own', 'held', 'shared', 'cluster'] as const;
type Way = (typeof WAYS)[number];
const [rounds = 5, seconds = 2, workers = 2] = process.argv.slice(2).map(Number);
/** What a request costs its worker. */
const WORK_US = 50;
const LOADS = [
  { name: 'keep-alive, 4 connections', connections: 4, fields: [] },
  { name: 'keep-alive, 16 connections', connections: 16, fields: [] },
  { name: 'keep-alive, 500 connections', connections: 500, fields: [] },
  { name: 'a connection for each request, 32 at a time', connections: 32, fields: ['-H', 'Connection: close'] },
] as const;

interface Driven {
  readonly perSecond: number;
  readonly p99Ms: number;
  readonly errors: number;
}

interface Taken extends Driven {
  /** The busiest worker's part of the requests, and of the connections; even is 1 ÷ workers. */
  readonly requestShare: number;
  readonly connectionShare: number;
}

const taken = new Map<string, Taken[]>();
for (let round = 0; round < rounds; round++) {
  for (const way of round % 2 === 0 ? WAYS : WAYS.toReversed()) {
    await using servers = await start(way);
    for (const load of LOADS) {
      const result = await drive(servers.port, load);
      const counts = await servers.count();
      const share = (of: 'requests' | 'connections'): number =>
        Math.max(...counts.map((count) => count[of])) /
        Math.max(
          1,
          counts.reduce((sum, count) => sum + count[of], 0),
        );
      const key = `${load.name}|${way}`;
      const list = taken.get(key) ?? [];
      list.push({ ...result, requestShare: share('requests'), connectionShare: share('connections') });
      taken.set(key, list);
    }
  }
}

process.stdout.write(
  `${workers} workers, ${rounds} rounds of ${seconds} s, ${WORK_US} µs of work a request; medians. A share is the busiest worker's; even is ${percent(1 / workers)}.\n\n` +
    '| clients | way | requests/s | ÷ own, of the round | p99 | requests of the busiest (worst round) | connections of the busiest (worst round) | errors |\n|---|---|---|---|---|---|---|---|\n',
);
for (const load of LOADS) {
  const own = taken.get(`${load.name}|own`) ?? [];
  for (const way of WAYS) {
    const list = taken.get(`${load.name}|${way}`) ?? [];
    const of = (pick: (one: Taken) => number): number => median(list.map(pick));
    const worst = (pick: (one: Taken) => number): number => Math.max(...list.map(pick));
    const ratio = median(list.map((one, round) => one.perSecond / (own[round]?.perSecond ?? Number.NaN)));
    process.stdout.write(
      `| ${load.name} | ${way} | ${Math.round(of((one) => one.perSecond)).toLocaleString('en')} | ${ratio.toFixed(2)} | ${of((one) => one.p99Ms).toFixed(1)} ms | ${percent(of((one) => one.requestShare))} (${percent(worst((one) => one.requestShare))}) | ${percent(of((one) => one.connectionShare))} (${percent(worst((one) => one.connectionShare))}) | ${list.reduce((sum, one) => sum + one.errors, 0)} |\n`,
    );
  }
}
process.exit(0);

interface Count {
  readonly connections: number;
  readonly requests: number;
}

interface Servers extends AsyncDisposable {
  readonly port: number;
  count(): Promise<readonly Count[]>;
}

async function start(way: Way): Promise<Servers> {
  const port = await findPort();
  const sockets: BoundSocket[] = [];
  const bind = (reusePort: boolean): BoundSocket => {
    const socket = new BoundSocket({ host: '127.0.0.1', port, reusePort });
    sockets.push(socket);
    return socket;
  };
  const shared = way === 'shared' ? bind(false) : undefined;
  const children: Pick<ChildProcess, 'send' | 'on' | 'once' | 'kill' | 'pid'>[] = [];
  for (let index = 0; index < workers; index++) {
    if (way === 'cluster') {
      cluster.setupPrimary({ exec: WORKER, args: ['cluster', String(port), String(WORK_US)] });
      children.push(cluster.fork().process);
      continue;
    }
    const socket = way === 'held' ? bind(true) : shared;
    children.push(
      fork(WORKER, [socket ? 'fd' : 'own', String(port), String(WORK_US)], {
        stdio: ['ignore', 'inherit', 'inherit', 'ipc', socket ? socket.fd() : 'ignore'],
      }),
    );
  }
  await Promise.all(
    children.map(
      (child) =>
        new Promise<void>((resolve) => {
          child.on('message', (message) => message === 'ready' && resolve());
        }),
    ),
  );
  return {
    port,
    count: () =>
      Promise.all(
        children.map(
          (child) =>
            new Promise<Count>((resolve) => {
              const take = (message: unknown): void => {
                if (typeof message === 'object') resolve(message as Count);
              };
              child.once('message', take);
              child.send?.('count');
            }),
        ),
      ),
    async [Symbol.asyncDispose]() {
      await Promise.all(
        children.map((child) => {
          const gone = once(child as ChildProcess, 'exit');
          child.kill('SIGKILL');
          return gone;
        }),
      );
      for (const socket of sockets) socket.close();
    },
  };
}

async function findPort(): Promise<number> {
  const probe = createServer().listen(0, '127.0.0.1');
  await once(probe, 'listening');
  const { port } = probe.address() as { port: number };
  probe.close();
  await once(probe, 'close');
  return port;
}

/** `wrk` in one thread; it has its own clock and does not wait for us. */
async function drive(port: number, { connections, fields }: (typeof LOADS)[number]): Promise<Driven> {
  const words = ['-t1', `-c${connections}`, `-d${seconds}s`, '--latency', ...fields, `http://127.0.0.1:${port}/`];
  const { stdout } = await promisify(execFile)('wrk', words).catch((cause) => {
    throw new Error('bench/balance.ts needs wrk (Debian: apt-get install wrk).', { cause });
  });
  const [, value = '', unit = ''] = /99%\s+([\d.]+)(us|ms|s)/.exec(stdout) ?? [];
  const failed = /Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)/.exec(stdout)?.slice(1) ?? [];
  const [connect = 0, read = 0, write = 0, timeout = 0] = failed.map(Number);
  return {
    perSecond: Number(/Requests\/sec:\s+([\d.]+)/.exec(stdout)?.[1]),
    p99Ms: Number(value) * ({ us: 0.001, ms: 1, s: 1_000 }[unit] ?? Number.NaN),
    // wrk counts a server that closes after each answer as a read error.
    errors: connect + timeout + (fields.length > 0 ? 0 : read + write),
  };
}

function percent(share: number): string {
  return `${Math.round(share * 100)} %`;
}
