/**
 * The same load by the lab's engine and by `wrk`, h2load and Locust, below saturation. Longer, on a quiet machine, and with a
 * stall: `npm run bench:lab -- --honesty`. The stall against its analytic value is in lab/engine/honesty.test.ts, too.
 *
 * The server takes 200 ms, every fiftieth time a second, and both ask it at the same time: what a busy machine adds, it adds to
 * both. One round that agrees is enough, since in another one of the two may have stood still. A machine so busy that the engine
 * says of each round that it was late itself (it is void) compares nothing: then its own figures must fit each other.
 */
import assert from 'node:assert/strict';
import { suite, type TestContext, test } from 'node:test';
import { GENERATORS, hasGenerator, runH2load, runLocust, runWrk, type Shown } from '../bench/lab/other-generators.ts';
import { startServer, writeOneStep } from '../bench/lab/start-server.ts';
import { runPlan } from '../packages/vazao/src/lab/plans/run-plan.ts';
import type { RunResult } from '../packages/vazao/src/lab/run-result.ts';

const ROUNDS = 6;
const ROUNDS_VOID = 2;
const SECONDS = 5;
const CONNECTIONS = 40;
const RATE = 100;
const SLOWER = '10';
const THROUGHPUT_TOLERANCE = 0.05;
const PERCENTILE_TOLERANCE = 0.1;

type Load = { readonly rate: number; readonly timing: 'even' } | { readonly users: number; readonly thinkMs: number };
interface Round {
  readonly throughput: number;
  readonly p50: number;
  readonly p99: number;
  readonly isVoid: boolean;
  /** All that was offered was answered, in the open model; N = X(R + Z), in the closed one. */
  readonly fitsItself: boolean;
}

suite('the engine and other generators say the same', { timeout: 600_000 }, () => {
  const closed: Load = { users: CONNECTIONS, thinkMs: 0 };
  const open: Load = { rate: RATE, timing: 'even' };
  const cases = [
    ['wrk', closed, (origin: string) => runWrk(origin, CONNECTIONS, SECONDS)],
    ['h2load', open, (origin: string) => runH2load(origin, CONNECTIONS, RATE, SECONDS)],
    ['locust', open, (origin: string) => runLocust(origin, RATE, SECONDS)],
  ] as const;
  for (const [program, load, theirs] of cases) {
    const skip = hasGenerator(program) ? false : `${program} is not installed: Debian has it as ${GENERATORS[program]}`;
    test(`${program}: throughput within 5 %, p50 and p99 within 10 %`, { skip }, (context) =>
      assertAgreement(context, load, theirs),
    );
  }
});

async function assertAgreement(
  context: TestContext,
  load: Load,
  theirs: (origin: string) => Promise<Shown>,
): Promise<void> {
  await using server = await startServer(['delay', SLOWER]);
  const rounds: Round[] = [];
  for (let at = 0; at < ROUNDS; at++) {
    const round = compare(...(await Promise.all([runOurs(server.origin, load), theirs(server.origin)])));
    context.diagnostic(
      `ours ÷ theirs: throughput ${round.throughput.toFixed(3)}, p50 ${round.p50.toFixed(3)}, p99 ${round.p99.toFixed(3)}${round.isVoid ? '; void' : ''}`,
    );
    if (agrees(round)) return;
    rounds.push(round);
    if (rounds.filter(({ isVoid }) => isVoid).length === ROUNDS_VOID) break;
  }
  const compared = rounds.filter(({ isVoid }) => !isVoid);
  assert.deepEqual(compared, [], 'no round agrees');
  assert.ok(
    rounds.every(({ fitsItself }) => fitsItself),
    JSON.stringify(rounds),
  );
  context.diagnostic('nothing was compared: the machine was too busy');
}

async function runOurs(target: string, load: Load): Promise<RunResult> {
  using scenario = writeOneStep();
  return await runPlan({ module: scenario.path, target, plan: 'load', durationS: SECONDS, warmUpS: 1, ...load });
}

function compare({ total, generator, phases }: RunResult, theirs: Shown): Round {
  const law = phases.at(-1)?.littlesLaw;
  return {
    throughput: total.throughput / theirs.throughput,
    p50: total.latency.p50Ms / theirs.p50Ms,
    p99: total.latency.p99Ms / theirs.p99Ms,
    isVoid: generator.void !== undefined,
    fitsItself: law
      ? isNear(law.ratio, PERCENTILE_TOLERANCE)
      : isNear(total.throughput / RATE, THROUGHPUT_TOLERANCE) && total.succeeded === total.offered,
  };
}

function agrees({ throughput, p50, p99 }: Round): boolean {
  return isNear(throughput, THROUGHPUT_TOLERANCE) && [p50, p99].every((ratio) => isNear(ratio, PERCENTILE_TOLERANCE));
}

function isNear(ratio: number, tolerance: number): boolean {
  return Math.abs(ratio - 1) <= tolerance;
}
