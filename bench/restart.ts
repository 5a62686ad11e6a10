/**
 * A host is killed (its supervisor, by SIGKILL, with requests in flight) and started again at once: how long until it answers?
 * Beside it a first start, and the same after SIGTERM, in turns. Prints a Markdown table.
 *
 *   node bench/restart.ts [rounds] [workers]
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { type CommandRun, runCommand } from '../packages/vazao/src/testing/cli.ts';
import { startTestServer } from '../packages/vazao/src/testing/server.ts';
import { median } from './load.ts';

const [rounds = 5, workers = 2] = process.argv.slice(2).map(Number);
const WAYS = ['after SIGTERM', 'after SIGKILL'] as const;
const base = mkdtempSync(join(tmpdir(), 'vazao-restart-'));
const postgres = await startTestServer();
const application = resolve(import.meta.dirname, '../apps/conectades');
let port = '0';

const first = performance.now();
let run = start();
port = new URL(await run.url).port;
process.stdout.write(
  `Conectades, ${workers} workers, PostgreSQL running; the first start of all took ${seconds(performance.now() - first)}.\n\n| start | until the process before is gone | from the start to the first answer, median (most) |\n|---|---|---|\n`,
);
const taken = new Map<string, { gone: number[]; answered: number[] }>(
  WAYS.map((way) => [way, { gone: [], answered: [] }]),
);
for (let round = 0; round < rounds; round++) {
  for (const way of WAYS) {
    await delay(500);
    // One on which nothing is asked, and one with a request that takes longer than anybody waits.
    const held = [0, 1].map(() => connect(Number(port), '127.0.0.1').on('error', () => {}));
    held[1]?.write('POST /api/token/ HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\n');
    await delay(100);
    const killedAtMs = performance.now();
    run.child.kill(way === 'after SIGTERM' ? 'SIGTERM' : 'SIGKILL');
    if (way === 'after SIGTERM') for (const socket of held) socket.destroy();
    await run.ended;
    const { gone, answered } = taken.get(way) ?? { gone: [], answered: [] };
    gone.push(performance.now() - killedAtMs);
    const startedAtMs = performance.now();
    run = start();
    await run.url;
    answered.push(performance.now() - startedAtMs);
    for (const socket of held) socket.destroy();
  }
}
for (const [way, { gone, answered }] of taken) {
  process.stdout.write(
    `| ${way} | ${seconds(median(gone))} | ${seconds(median(answered))} (${seconds(Math.max(...answered))}) |\n`,
  );
}
run.child.kill('SIGTERM');
await run.ended;
await postgres.stop();
rmSync(base, { recursive: true, force: true });

function start(): CommandRun {
  const env = {
    NODE_ENV: 'production',
    VAZAO_SECRET: 'x'.repeat(40),
    ADMIN_PASSWORD: 'a-long-password-for-the-bench',
    PORT: port,
    WORKERS: String(workers),
    LOG_LEVEL: 'silent',
    DATABASE_URL: postgres.url,
    VAZAO_DATA: join(base, 'data'),
  };
  return runCommand(['start', application], env, base);
}

function seconds(ms: number): string {
  return `${(ms / 1_000).toFixed(1)} s`;
}
