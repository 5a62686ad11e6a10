/**
 * `npm run bench:overload`: what becomes of three times the load that a server can bear, with and without admission, and with
 * clients that try again. Prints Markdown. `--seconds 60` for each overload, `--places 15`, `--pool 10`, `--factor 3`.
 *
 * The capacity is found first: the most that is answered with a p99 under 250 ms, doubling and then halving the step. Server
 * and PostgreSQL have one core, the generator the other, where the machine has `taskset`.
 */
import { type ChildProcess, fork, spawnSync } from 'node:child_process';
import { availableParallelism } from 'node:os';
import { parseArgs } from 'node:util';
import pg from 'pg';
import { startTestServer } from '../packages/vazao/src/testing/server.ts';
import { quantile } from './load.ts';
import { type OverloadOptions, type OverloadResult, overload } from './overload-load.ts';

const { values } = parseArgs({
  options: {
    seconds: { type: 'string', default: '20' },
    places: { type: 'string', default: '0' },
    pool: { type: 'string', default: '10' },
    factor: { type: 'string', default: '3' },
    only: { type: 'string', default: '' },
  },
});
const SECONDS = Number(values.seconds);
const FACTOR = Number(values.factor);
const LATENCY_MAX_MS = 250;
const REFUSAL_MAX_MS = 50;
const RECOVERY_SECONDS = 8;
const PATIENCE_MS = 5_000;
const PORT = 8_571;

const SCHEMA = `create table campanhas (id int primary key, nome text not null);
  create table doacoes (id bigserial primary key, campanha int not null, valor numeric not null, criada timestamptz not null default now());
  insert into campanhas select n, 'campanha ' || n from generate_series(1, 500) n;
  insert into doacoes (campanha, valor) select 1 + n % 500, n % 100 from generate_series(1, 500000) n;
  create index on doacoes (campanha); analyze;`;

const canPin = spawnSync('taskset', ['--version']).status === 0 && availableParallelism() > 1;
if (canPin) spawnSync('taskset', ['-acp', '0', String(process.pid)]); // PostgreSQL is started here, and inherits it
const postgres = await startTestServer();
if (canPin) spawnSync('taskset', ['-acp', '1', String(process.pid)]);

try {
  const client = new pg.Client(postgres.url);
  await client.connect();
  await client.query(SCHEMA);
  await client.end();
  const peak = await withServer('on', findPeak);
  console.log(
    `Peak: ${peak.perSecond.toFixed(0)} answers a second with p99 ${peak.p99Ms.toFixed(0)} ms; pool of ${values.pool}, ${availableParallelism()} cores${canPin ? ', server and PostgreSQL on one' : ''}. Then ${FACTOR} times as much for ${SECONDS} s.\n`,
  );
  console.log(
    '| admission | clients that are refused | goodput ÷ peak | p99 of the admitted | refused | p99 of refusals (max) | without Retry-After | failed or given up | normal again after | generator behind |',
  );
  console.log('|---|---|---|---|---|---|---|---|---|---|');
  const retries = [undefined, 'after what the answer says', 'at once'] as const;
  for (const admission of ['on', 'off'] as const) {
    if (values.only && values.only !== admission) continue;
    for (const retry of admission === 'on' ? retries : [undefined]) {
      await withServer(admission, async () => {
        const rate = peak.perSecond * FACTOR;
        const result = await load({ rate, seconds: SECONDS, retry });
        const after = await load({ rate: peak.perSecond * 0.7, seconds: RECOVERY_SECONDS, retry: undefined });
        console.log(row(admission, retry, peak.perSecond, result, after));
      });
    }
  }
} finally {
  await postgres.stop();
}

function load(options: Pick<OverloadOptions, 'rate' | 'seconds' | 'retry'>): Promise<OverloadResult> {
  // Over as soon as the load is: what is still on its way then belongs to the recovery.
  return overload({
    port: PORT,
    connectionsMax: 8_000,
    patienceMs: options.seconds === SECONDS ? 1_000 : PATIENCE_MS,
    ...options,
  });
}

/** The highest rate that is answered as it comes. */
async function findPeak(): Promise<{ perSecond: number; p99Ms: number }> {
  await load({ rate: 100, seconds: 2 });
  let best = { perSecond: 0, p99Ms: 0 };
  let rate = 100;
  for (let step = 2; step > 1.04; ) {
    const { goodMs, seconds } = await load({ rate, seconds: 4 });
    const offered = seconds.reduce((sum, one) => sum + one.offered, 0);
    const p99Ms = quantile(goodMs, 0.99);
    const perSecond = goodMs.length / 4;
    // Two hundredths refused are the knee; beyond it the rate is more than can be done.
    const isBorne = goodMs.length >= offered * 0.98 && p99Ms <= LATENCY_MAX_MS;
    if (isBorne && perSecond > best.perSecond) best = { perSecond, p99Ms };
    if (!isBorne) {
      rate /= step;
      step = Math.sqrt(step);
    }
    rate *= step;
  }
  if (best.perSecond === 0) throw new Error('The machine has too much else to do: not even the lowest rate was borne.');
  return best;
}

function row(
  admission: string,
  retry: string | undefined,
  peak: number,
  { seconds, goodMs, refusedMs, withoutRetryAfter, behindMs }: OverloadResult,
  after: OverloadResult,
): string {
  const sum = (name: 'good' | 'refused' | 'failed'): number => seconds.reduce((total, one) => total + one[name], 0);
  const wellAgain = after.seconds.findIndex((_one, index) =>
    after.seconds.slice(index).every(({ offered, refused, failed, goodMs: own }) => {
      own.sort((a, b) => a - b);
      return refused + failed <= offered * 0.01 && quantile(own, 0.99) <= LATENCY_MAX_MS;
    }),
  );
  const marked = (text: string, isGood: boolean): string => (isGood ? text : `**${text}**`);
  const goodput = sum('good') / SECONDS / peak;
  const p99 = quantile(goodMs, 0.99);
  const p99Refused = quantile(refusedMs, 0.99);
  const isRecovered = wellAgain >= 0 && wellAgain <= 5;
  return `| ${[
    admission,
    retry === undefined ? 'stay away' : `come back ${retry}`,
    marked(goodput.toFixed(2), goodput >= 0.9),
    marked(`${p99.toFixed(0)} ms`, p99 <= LATENCY_MAX_MS),
    sum('refused'),
    refusedMs.length === 0
      ? '–'
      : marked(`${p99Refused.toFixed(0)} ms (${(refusedMs.at(-1) ?? 0).toFixed(0)})`, p99Refused <= REFUSAL_MAX_MS),
    withoutRetryAfter,
    sum('failed'),
    marked(wellAgain < 0 ? `not in ${RECOVERY_SECONDS} s` : `${wellAgain} s`, isRecovered),
    `${behindMs.toFixed(0)} ms`,
  ].join(' | ')} |`;
}

async function withServer<T>(admission: 'on' | 'off', work: () => Promise<T>): Promise<T> {
  const words = [String(PORT), postgres.url, values.pool, admission, values.places];
  const child: ChildProcess = fork(new URL('./overload-server.ts', import.meta.url), words, {
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
  });
  if (canPin) spawnSync('taskset', ['-acp', '0', String(child.pid)]);
  await new Promise((resolve) => child.once('message', resolve));
  try {
    return await work();
  } finally {
    child.kill('SIGKILL');
    await new Promise((resolve) => child.once('exit', resolve));
  }
}
