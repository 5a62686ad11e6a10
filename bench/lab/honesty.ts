/** The same load by this generator and by three others, in turns; and a stall whose percentiles can be computed. */
import { runPlan } from '../../packages/vazao/src/lab/plans/run-plan.ts';
import { GENERATORS, hasGenerator, runH2load, runLocust, runWrk, type Shown } from './other-generators.ts';
import { median, printTable, startServer, writeOneStep } from './start-server.ts';

const ROUNDS = 3;
const SECONDS = 10;
const CONNECTIONS = 20;
const RATE = 400;
const THROUGHPUT_TOLERANCE = 0.05;
const PERCENTILE_TOLERANCE = 0.1;

/** False: something was out of the bounds. */
export async function measureHonesty(): Promise<boolean> {
  const missing = (Object.keys(GENERATORS) as (keyof typeof GENERATORS)[]).filter((name) => !hasGenerator(name));
  if (missing.length > 0) {
    const packages = missing.map((name) => GENERATORS[name]).join(' ');
    console.error(
      `Not installed: ${missing.join(', ')}. \`apt-get install --no-install-recommends ${packages}\` does it.`,
    );
    return false;
  }
  const agrees = await compareWithOthers();
  const matches = await compareWithTheory();
  return agrees && matches;
}

/** `wrk` sends as fast as its connections are answered; h2load and Locust keep a rate. Each is compared with ours of its kind. */
async function compareWithOthers(): Promise<boolean> {
  await using server = await startServer(['delay']);
  using scenario = writeOneStep();
  const base = { module: scenario.path, target: server.origin, plan: 'load', durationS: SECONDS, warmUpS: 1 } as const;
  const ours = async (load: { rate: number; timing: 'even' } | { users: number; thinkMs: number }): Promise<Shown> => {
    const result = await runPlan({ ...base, ...load });
    if (result.generator.void) console.log(`Void: ${result.generator.void.join(' ')}\n`);
    const { p50Ms, p99Ms } = result.total.latency;
    return { throughput: result.total.throughput, p50Ms, p99Ms };
  };
  const closed = (): Promise<Shown> => ours({ users: CONNECTIONS, thinkMs: 0 });
  const open = (): Promise<Shown> => ours({ rate: RATE, timing: 'even' });
  const { origin } = server;
  const pairs: [name: string, theirs: () => Promise<Shown>, ours: () => Promise<Shown>][] = [
    [`wrk, ${CONNECTIONS} connections`, () => runWrk(origin, CONNECTIONS, SECONDS), closed],
    [`h2load --h1, ${RATE}/s`, () => runH2load(origin, CONNECTIONS, RATE, SECONDS), open],
    [`Locust, ${RATE}/s`, () => runLocust(origin, RATE, SECONDS), open],
  ];
  const rows = [['beside', 'throughput', 'p50', 'p99', 'ratio of throughput', 'of p50', 'of p99', 'within 5 %, 10 %']];
  let allAgree = true;
  for (const [name, theirs, own] of pairs) {
    const shown: [ours: Shown, theirs: Shown][] = [];
    for (let round = 0; round < ROUNDS; round++) {
      const first = round % 2 === 0 ? await own() : undefined;
      const other = await theirs();
      shown.push([first ?? (await own()), other]);
    }
    const middle = (pick: (shown: Shown) => number, whose: 0 | 1): number =>
      median(shown.map((pair) => pick(pair[whose])));
    const ratio = (pick: (shown: Shown) => number): number => middle(pick, 0) / middle(pick, 1);
    const [throughput, p50, p99] = [ratio((s) => s.throughput), ratio((s) => s.p50Ms), ratio((s) => s.p99Ms)];
    const agrees =
      Math.abs(throughput - 1) <= THROUGHPUT_TOLERANCE &&
      Math.abs(p50 - 1) <= PERCENTILE_TOLERANCE &&
      Math.abs(p99 - 1) <= PERCENTILE_TOLERANCE;
    allAgree &&= agrees;
    const both = (pick: (shown: Shown) => number, digits: number): string =>
      `${middle(pick, 0).toFixed(digits)} / ${middle(pick, 1).toFixed(digits)}`;
    rows.push([
      name,
      both(({ throughput: perS }) => perS, 1),
      `${both(({ p50Ms }) => p50Ms, 2)} ms`,
      `${both(({ p99Ms }) => p99Ms, 2)} ms`,
      throughput.toFixed(3),
      p50.toFixed(3),
      p99.toFixed(3),
      agrees ? 'yes' : '**no**',
    ]);
  }
  console.log(
    `Ours / theirs; a server that takes 20 ms, every fiftieth time 100 ms; median of ${ROUNDS} rounds of ${SECONDS} s.\n`,
  );
  printTable(rows);
  return allAgree;
}

/** 200 ms every 10 s: a fiftieth of the arrivals waits from 0 to 200 ms. */
async function compareWithTheory(): Promise<boolean> {
  const analytic = (quantile: number): number => Math.max(0, 200 * (1 - (1 - quantile) / 0.02));
  await using server = await startServer(['stall']);
  using scenario = writeOneStep();
  const base = { module: scenario.path, target: server.origin, plan: 'load', durationS: 40, warmUpS: 0 } as const;
  const open = (await runPlan({ ...base, rate: 500, timing: 'even' })).total.latency;
  const closed = (await runPlan({ ...base, users: 4, thinkMs: 0 })).total.latency;
  const wrk = await runWrk(server.origin, CONNECTIONS, 40);
  const isNear = (measured: number, quantile: number): boolean =>
    Math.abs(measured / analytic(quantile) - 1) <= PERCENTILE_TOLERANCE;
  const matches = isNear(open.p99Ms, 0.99) && isNear(open.p999Ms, 0.999);
  const isBlind = closed.p99Ms < analytic(0.99) / 2;
  console.log('A server that stands still for 200 ms every 10 s.\n');
  printTable([
    ['', 'p50', 'p99', 'p99.9', ''],
    ['analytic', '0', `${analytic(0.99).toFixed(0)} ms`, `${analytic(0.999).toFixed(0)} ms`, ''],
    [
      'open model, 500/s',
      `${open.p50Ms.toFixed(2)} ms`,
      `${open.p99Ms.toFixed(1)} ms`,
      `${open.p999Ms.toFixed(1)} ms`,
      matches ? 'within 10 %' : '**not within 10 %**',
    ],
    [
      'closed, 4 users',
      `${closed.p50Ms.toFixed(2)} ms`,
      `${closed.p99Ms.toFixed(1)} ms`,
      `${closed.p999Ms.toFixed(1)} ms`,
      isBlind ? 'does not see it' : '**sees it**',
    ],
    [`wrk, ${CONNECTIONS} connections`, `${wrk.p50Ms.toFixed(2)} ms`, `${wrk.p99Ms.toFixed(1)} ms`, '–', ''],
  ]);
  return matches && isBlind;
}
