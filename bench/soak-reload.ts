/**
 * Reloads one after the other, then kills, of a server under load: what of the requests is lost? Prints a Markdown table.
 *
 *   node bench/soak-reload.ts [reloads] [kills] [workers]      a kill every 2 s
 *
 * The clients are those of the test (`cli/reload.test.ts`): on connections that they keep, and with one for each request;
 * on a cached answer, one that is not, and one that takes 20 ms in the database; and a thousand that keep their connections, of which each
 * thinks for up to ten seconds, which is longer than a worker that leaves waits for them. No request is tried again. A worker had in
 * flight what was sent on connections that it had taken, and, where a connection was new, what was begun while it lived.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { runCommand, writeApplication } from '../packages/vazao/src/testing/cli.ts';
import { startTestServer } from '../packages/vazao/src/testing/server.ts';
import { type SteadyClients, startSteadyClients } from '../packages/vazao/src/testing/steady-clients.ts';
import { isAtWork, listChildren } from '../packages/vazao/src/torture/parts/process-table.ts';

const [reloads = 20, kills = 20, workers = 2] = process.argv.slice(2).map(Number);
const KILL_PAUSE_MS = 2_000;
/** No request takes so long. */
const IN_FLIGHT_MAX_MS = 5_000;
const THINKING = 1_000;
const THINK_MAX_MS = 10_000;
const PATHS = ['/cached', '/plain', '/sleepy'];
const ROUTES = `
    app.get('/cached', { config: { cache: true } }, async () => { await db.query('select count(*) from a'); return { pid: process.pid }; });
    app.get('/plain', async () => ({ pid: process.pid }));
    app.get('/sleepy', async () => { await db.query('select pg_sleep(0.02)'); return { pid: process.pid }; });
`;

const base = mkdtempSync(join(tmpdir(), 'vazao-soak-'));
const postgres = await startTestServer();
const run = runCommand(
  ['start', writeApplication(join(base, 'app'), undefined, undefined, ROUTES)],
  {
    NODE_ENV: 'production',
    VAZAO_SECRET: 'x'.repeat(40),
    // The clients ask for more than can be done, and what admission refuses is no loss of a reload.
    VAZAO_LIMITS: 'off',
    PORT: '0',
    WORKERS: String(workers),
    LOG_LEVEL: 'silent',
    DATABASE_URL: postgres.url,
    VAZAO_DATA: join(base, 'data'),
  },
  base,
);
try {
  const port = Number(new URL(await run.url).port);
  const supervisor = run.child.pid ?? 0;
  process.stdout.write(
    `${workers} workers; a kill every ${KILL_PAUSE_MS / 1_000} s.\n\n| what | times | requests answered | connections | slowest | lost | lost, and not in flight there |\n|---|---|---|---|---|---|---|\n`,
  );

  const reloading = startClients(port);
  const times: number[] = [];
  for (let number = 1; number <= reloads; number++) {
    const startedAtMs = performance.now();
    process.kill(supervisor, 'SIGHUP');
    await until(() => run.output.stderr.split('reloaded in').length > number, 'it has reloaded');
    times.push(performance.now() - startedAtMs);
  }
  await print('reload', reloads, reloading, () => false);
  process.stderr.write(`a reload took ${(Math.max(...times) / 1_000).toFixed(1)} s at most\n`);

  const killing = startClients(port);
  const dead = new Map<number, { readonly sentMs: number; readonly seenMs: number }>();
  for (let number = 1; number <= kills; number++) {
    await delay(KILL_PAUSE_MS);
    const pids = listChildren(supervisor).filter(isAtWork);
    const victim = pids[number % pids.length];
    if (victim === undefined) continue;
    const sentMs = performance.now();
    process.kill(victim, 'SIGKILL');
    while (isAtWork(victim)) await delay(1);
    dead.set(victim, { sentMs, seenMs: performance.now() });
  }
  await print('SIGKILL of a worker', kills, killing, ({ pid, sentAtMs }) =>
    pid === undefined
      ? [...dead.values()].some(({ sentMs, seenMs }) => sentAtMs <= seenMs && sentAtMs >= sentMs - IN_FLIGHT_MAX_MS)
      : dead.has(pid),
  );
} finally {
  run.child.kill('SIGTERM');
  await run.ended;
  await postgres.stop();
  rmSync(base, { recursive: true, force: true });
}
process.stderr.write(
  run.output.stderr
    .split('\n')
    .filter((line) => !/reload|ended by SIGKILL/.test(line))
    .join('\n'),
);

function startClients(port: number): readonly SteadyClients[] {
  const thinking = { port, path: '/cached', kept: THINKING, fresh: 0, thinkMaxMs: THINK_MAX_MS, random: Math.random };
  return [
    ...PATHS.map((path) => startSteadyClients({ port, path, kept: 10, fresh: 4, thinkMaxMs: 10, random: Math.random })),
    startSteadyClients(thinking),
  ];
}

async function print(
  what: string,
  times: number,
  clients: readonly SteadyClients[],
  wasInFlight: (lost: { readonly pid: number | undefined; readonly sentAtMs: number }) => boolean,
): Promise<void> {
  const results = await Promise.all(clients.map((one) => one.stop()));
  const sum = (values: readonly number[]): string => values.reduce((a, b) => a + b, 0).toLocaleString('en');
  const lost = results.flatMap((result) => result.lost);
  const others = lost.filter((one) => !wasInFlight(one));
  process.stdout.write(
    `| ${what} | ${times} | ${sum(results.map(({ answered }) => answered))} | ${sum(results.map(({ connections }) => connections))} | ${Math.round(Math.max(...results.map(({ slowestMs }) => slowestMs)))} ms | ${lost.length} | ${others.length} |\n`,
  );
  for (const one of others.slice(0, 10)) process.stderr.write(`${JSON.stringify(one)}\n`);
}

async function until(condition: () => boolean, what: string): Promise<void> {
  const deadline = performance.now() + 120_000;
  while (!condition()) {
    if (performance.now() > deadline) throw new Error(`in time: ${what}; ${run.output.stderr}`);
    await delay(20);
  }
}
