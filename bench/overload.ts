/**
 * `npm run bench:overload`: what becomes of three times the load that `vazao start` can bear, with and without its limits, and
 * with clients that try again. Prints Markdown, and exits with 1 when it was not borne with the limits. 11 minutes.
 *
 *   --seconds 60 for each overload, --factor 3, --pool 3, --places 0 (in flight; 0: what follows from the pool), --only on
 *
 * The capacity is found first, and for each row anew, since the machine's own speed changes: the most that is answered with a p99 under
 * 250 ms, doubling and then halving the step. Server and PostgreSQL have one core, the generator the other, where the machine has
 * `taskset`. So the pool is for one core: with ten statements at a time the server itself would wait for the core as one of eleven.
 */
import { cpus } from 'node:os';
import { parseArgs } from 'node:util';
import { quantile } from './load.ts';
import { type OverloadOptions, type OverloadResult, overload } from './overload/load.ts';
import { canPin, openStage, PORT } from './overload/stage.ts';

const { values } = parseArgs({
  options: {
    seconds: { type: 'string', default: '60' },
    places: { type: 'string', default: '0' },
    pool: { type: 'string', default: '3' },
    factor: { type: 'string', default: '3' },
    only: { type: 'string', default: '' },
  },
});
const SECONDS = Number(values.seconds);
const FACTOR = Number(values.factor);
const GOODPUT_MIN = 0.9;
const LATENCY_MAX_MS = 250;
const REFUSAL_MAX_MS = 50;
const RECOVERY_SECONDS = 8;
const RECOVERED_AFTER_MAX_S = 5;
const PATIENCE_MS = 5_000;
const BEHIND_MAX_MS = 25;
const PEAK_SECONDS = 15;

await using stage = await openStage();
let isBorne = true;

let last = await withServer('on', () => findPeak(100, 2));
console.log(
  `${cpus()[0]?.model.trim()}, ${cpus().length} cores, Node ${process.versions.node}. Pool of ${values.pool}${canPin ? ', server and PostgreSQL on one core, the generator on the other' : ''}. ${FACTOR} times the peak for ${SECONDS} s.\n`,
);
console.log(
  '| limits | clients that are refused | peak, requests a second (computed, p99: before; after) | computed ÷ peak | hits a second | p99 of the computed | refused | slowest refusal (p99; beyond 50 ms) | without Retry-After | failed or given up | normal again after | generator behind |',
);
console.log('|---|---|---|---|---|---|---|---|---|---|---|---|');
const retries = [undefined, 'after what the answer says', 'at once'] as const;
for (const limits of ['on', 'off'] as const) {
  if (values.only && values.only !== limits) continue;
  for (const retry of limits === 'on' ? retries : [undefined]) {
    await withServer(limits, async () => {
      const found = await findPeak(last.rate * 0.6, Math.SQRT2);
      last = found;
      const before = await holdPeak(found);
      const result = await load({ rate: found.rate * FACTOR, seconds: SECONDS, retry });
      const after = await load({ rate: found.rate * 0.7, seconds: RECOVERY_SECONDS, retry: undefined });
      console.log(row(limits, retry, [before, await holdPeak(found)], result, after));
    });
  }
}
console.log(
  `\nGoals, with limits: goodput ≥ ${GOODPUT_MIN} of the peak, p99 of the admitted ≤ ${LATENCY_MAX_MS} ms, every refusal < ${REFUSAL_MAX_MS} ms and with Retry-After, normal again within ${RECOVERED_AFTER_MAX_S} s; bold is what misses. A generator that was more than ${BEHIND_MAX_MS} ms behind says nothing about the server.`,
);
if (!isBorne) process.exitCode = 1;

function load(options: Pick<OverloadOptions, 'rate' | 'seconds' | 'retry'>): Promise<OverloadResult> {
  // Over soon after the load is: what is still on its way then belongs to the recovery.
  const patienceMs = options.seconds === SECONDS ? 1_000 : PATIENCE_MS;
  return overload({ port: PORT, connectionsMax: 8_000, patienceMs, ...options });
}

interface Peak {
  readonly rate: number;
  /** Computed. */
  readonly perSecond: number;
  readonly p99Ms: number;
}

/** The highest rate, hits included, that is answered as it comes, and how much of it was computed. */
async function findPeak(from: number, firstStep: number): Promise<Peak> {
  await load({ rate: from, seconds: 5, retry: undefined }); // code gets compiled
  let best = { rate: 0, perSecond: 0, p99Ms: 0 };
  let rate = from;
  for (let step = firstStep; step > 1.04; ) {
    const { goodMs, seconds } = await load({ rate, seconds: 4, retry: undefined });
    const offered = seconds.reduce((sum, one) => sum + one.offered, 0);
    const p99Ms = quantile(goodMs, 0.99);
    const perSecond = goodMs.length / 4;
    // Two hundredths refused are the knee; beyond it the rate is more than can be done.
    const holds = goodMs.length >= offered * 0.98 && p99Ms <= LATENCY_MAX_MS;
    if (holds && perSecond > best.perSecond) best = { rate, perSecond, p99Ms };
    if (!holds) {
      rate /= step;
      step = Math.sqrt(step);
    }
    rate *= step;
  }
  if (best.perSecond === 0) throw new Error('The machine has too much else to do: not even the lowest rate was borne.');
  return best;
}

/** What was found in four lucky seconds is held for longer, before the overload and after it: the mean is what that is measured by. */
async function holdPeak({ rate }: Peak): Promise<Peak> {
  const { goodMs } = await load({ rate, seconds: PEAK_SECONDS, retry: undefined });
  return { rate, perSecond: goodMs.length / PEAK_SECONDS, p99Ms: quantile(goodMs, 0.99) };
}

function row(
  limits: string,
  retry: string | undefined,
  [before, after]: readonly [Peak, Peak],
  { seconds, goodMs, refusedMs, withoutRetryAfter, behindMs }: OverloadResult,
  recovery: OverloadResult,
): string {
  const sum = (name: 'good' | 'hits' | 'refused' | 'failed'): number =>
    seconds.reduce((total, one) => total + one[name], 0);
  const isWell = recovery.seconds.map(({ offered, refused, failed, goodMs: own }) => {
    own.sort((a, b) => a - b);
    return refused + failed <= offered * 0.01 && quantile(own, 0.99) <= LATENCY_MAX_MS;
  });
  // Three in a row: a pause of the machine seconds later is no part of the recovery.
  const wellAgain = isWell.findIndex((_one, index) => isWell.slice(index, index + 3).every(Boolean));
  const judged = (text: string, isGood: boolean): string => {
    if (!isGood && limits === 'on') isBorne = false;
    return isGood ? text : `**${text}**`;
  };
  const goodput = sum('good') / SECONDS / ((before.perSecond + after.perSecond) / 2);
  const p99 = quantile(goodMs, 0.99);
  const slowest = refusedMs.at(-1) ?? 0;
  const beyond = refusedMs.filter((ms) => ms >= REFUSAL_MAX_MS).length;
  return `| ${[
    limits,
    retry === undefined ? 'stay away' : `come back ${retry}`,
    `${before.rate.toFixed(0)} (${[before, after].map(({ perSecond, p99Ms }) => `${perSecond.toFixed(0)}, ${p99Ms.toFixed(0)} ms`).join('; ')})`,
    judged(goodput.toFixed(2), goodput >= GOODPUT_MIN),
    (sum('hits') / SECONDS).toFixed(0),
    judged(`${p99.toFixed(0)} ms`, p99 <= LATENCY_MAX_MS),
    sum('refused'),
    refusedMs.length === 0
      ? '–'
      : judged(`${slowest.toFixed(0)} ms (${quantile(refusedMs, 0.99).toFixed(0)} ms; ${beyond})`, beyond === 0),
    judged(String(withoutRetryAfter), withoutRetryAfter === 0),
    sum('failed'),
    judged(
      wellAgain < 0 ? `not in ${RECOVERY_SECONDS} s` : `${wellAgain} s`,
      wellAgain >= 0 && wellAgain <= RECOVERED_AFTER_MAX_S,
    ),
    judged(`${behindMs.toFixed(0)} ms`, behindMs <= BEHIND_MAX_MS),
  ].join(' | ')} |`;
}

function withServer<T>(limits: 'on' | 'off', work: () => Promise<T>): Promise<T> {
  const places = Number(values.places) > 0 && { VAZAO_LIMIT_IN_FLIGHT: values.places };
  return stage.serve({ DATABASE_POOL: values.pool, VAZAO_LIMITS: limits, ...places }, work);
}
