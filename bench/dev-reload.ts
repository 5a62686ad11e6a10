/**
 * `npm run bench:dev-reload`: from the moment at which a file of the application is written to the first answer of the new code,
 * under `vazao dev`. Prints a Markdown table, and exits with 1 when the median is a second or more. Half a minute.
 *
 *   node bench/dev-reload.ts [rounds]
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { cpus, loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { runCommand, writeApplication } from '../packages/vazao/src/testing/cli.ts';
import { startTestServer } from '../packages/vazao/src/testing/server.ts';
import { median } from './load.ts';

const ROUNDS = Number(process.argv[2] ?? 10);
const GOAL_MS = 1_000;
const LATEST_MS = 60_000;
/** Between a reload and the next: somebody reads what has changed. Meanwhile a spare process is made. */
const PAUSE_MS = 1_500;

const base = mkdtempSync(join(tmpdir(), 'vazao-dev-reload-'));
const postgres = await startTestServer();
const file = writeApplication(
  join(base, 'app'),
  undefined,
  undefined,
  "app.get('/word', async () => ({ word: 'word 0' }));",
);
const code = readFileSync(file, 'utf8');
const run = runCommand(
  ['dev', file],
  { PORT: '0', LOG_LEVEL: 'silent', DATABASE_URL: postgres.url, VAZAO_DATA: join(base, 'data') },
  base,
);
try {
  const url = `${await run.url}/word`;
  const times: number[] = [];
  for (let round = 0; round <= ROUNDS; round++) {
    await delay(PAUSE_MS);
    const word = `word ${round + 1}`;
    const startedAtMs = performance.now();
    writeFileSync(file, code.replace('word 0', word));
    await untilAnswered(url, word);
    if (round > 0) times.push(performance.now() - startedAtMs); // the first compiles what the others find compiled
  }
  const sorted = times.toSorted((a, b) => a - b).map((ms) => `${Math.round(ms)} ms`);
  console.log(
    `${cpus()[0]?.model.trim()}, ${cpus().length} cores, Node ${process.versions.node}; load of the machine ${loadavg()[0]?.toFixed(1)}.\n`,
  );
  console.log(
    `| \`vazao dev\`, of ${ROUNDS} | least | median | most | goal |\n|---|---|---|---|---|\n| from writing a file to an answer of its code | ${sorted[0]} | ${Math.round(median(times))} ms | ${sorted.at(-1)} | under ${GOAL_MS} ms: ${median(times) < GOAL_MS ? 'met' : 'missed'} |`,
  );
  if (median(times) >= GOAL_MS) process.exitCode = 1;
} finally {
  run.child.kill('SIGTERM');
  await run.ended;
  await postgres.stop();
  rmSync(base, { recursive: true, force: true });
}

/** On a connection of its own each time, since the process before may answer on those that it has. */
async function untilAnswered(url: string, word: string): Promise<void> {
  const giveUpAt = performance.now() + LATEST_MS;
  while (performance.now() < giveUpAt) {
    const text = await fetch(url, { headers: { connection: 'close' } }).then(
      (answer) => answer.text(),
      () => '',
    );
    if (text.includes(`"${word}"`)) return;
    await delay(5);
  }
  throw new Error(`The new code did not answer in ${LATEST_MS / 1_000} s: ${run.output.stderr}`);
}
