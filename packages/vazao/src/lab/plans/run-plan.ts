/** One run: a scenario, a plan, a server that is there already; and what it leaves behind. */
import { pathToFileURL } from 'node:url';
import { describeMachine } from '../engine/machine.ts';
import { type Driven, Session } from '../engine/session.ts';
import { LabError } from '../errors.ts';
import {
  type Criterion,
  type PlanKind,
  RUN_RESULT_FORMAT,
  type RunResult,
  type SecondFigures,
  type ServerSample,
} from '../run-result.ts';
import { loadScenario } from '../scenario/load-scenario.ts';
import type { Scenario } from '../scenario/scenario.ts';
import { type Monitor, startMonitor } from '../server/monitor.ts';
import { decideVerdict, judge } from './criteria.ts';
import { load } from './load.ts';
import { PLAN_DEFAULTS, type Plan, type PlanLoad } from './plan.ts';
import { parseSchedule, type SchedulePart } from './schedule-words.ts';
import { smoke } from './smoke.ts';
import { soak } from './soak.ts';
import { spike } from './spike.ts';
import { stress } from './stress.ts';
import { volume } from './volume.ts';

export interface RunOptions {
  /** Path of the module that has the scenario as its default export. */
  readonly module: string;
  readonly plan: PlanKind;
  /** Origin of the server. @defaultValue the scenario's own */
  readonly target?: string | undefined;
  /** A host other than this machine that the caller says to own. @defaultValue none */
  readonly targetIsMine?: string | undefined;
  /** Name of what is compared. */
  readonly architecture?: string | undefined;
  /** Arrivals per second, in the open model. @defaultValue the plan's */
  readonly rate?: number | undefined;
  /** Users, in the closed model. At most one of `rate` and `users`. */
  readonly users?: number | undefined;
  /** @defaultValue the scenario's, or 5000 */
  readonly thinkMs?: number | undefined;
  /** Instead of `rate` or `users` and their times, in the plan `load`. @defaultValue the scenario's */
  readonly schedule?: readonly SchedulePart[] | undefined;
  /** Distances between arrivals and times to think. @defaultValue random */
  readonly timing?: 'even' | 'random' | undefined;
  /** Of what is measured; of one step in `stress`, of one size in `volume`. @defaultValue the plan's */
  readonly durationS?: number | undefined;
  /** @defaultValue the plan's */
  readonly warmUpS?: number | undefined;
  /** @defaultValue the scenario's; none for `smoke` */
  readonly criteria?: readonly Criterion[] | undefined;
  /** @defaultValue a random one */
  readonly seed?: number | undefined;
  /** @defaultValue 1; one sends some 15,000 requests/s */
  readonly threads?: number | undefined;
  /** Most connections at a time. @defaultValue 1000, or as many as there will be users; with users, `stress` may have 25,000 */
  readonly connectionsMax?: number | undefined;
  /** Root of the server's processes, for CPU and memory. @defaultValue not looked at */
  readonly serverPid?: number | undefined;
  /** Folder of the probe, when it is in the server. */
  readonly probeFolder?: string | undefined;
  /** `volume`: makes the data so many times as large as at the beginning. */
  readonly resize?: ((factor: number) => Promise<void>) | undefined;
  /** Ends the run early, with what it has. */
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: ((progress: RunProgress) => void) | undefined;
}

/** Told each second. */
export interface RunProgress {
  readonly second: SecondFigures;
  readonly server: ServerSample;
  /** Seconds of the run so far, and all of them as far as the plan knows. */
  readonly elapsedS: number;
  readonly plannedS: number;
}

const PLANS: Readonly<Record<PlanKind, Plan>> = { load, stress, spike, volume, soak, smoke };

const CONNECTIONS_DEFAULT = 1_000;
const THINK_MS_DEFAULT = 5_000;
/** A spike of ten times as much must fit, and a machine has so many ports. */
const CONNECTIONS_MAX = 25_000;
const RATE_MAX = 1_000_000;
const THREADS_MAX = 64;

/** Drives the plan and judges it. Rejects with {@link LabError}. */
export async function runPlan(options: RunOptions): Promise<RunResult> {
  const module = pathToFileURL(options.module).href;
  const scenario = await loadScenario(module);
  const defaults = PLAN_DEFAULTS[options.plan];
  const schedule = resolveSchedule(options, scenario);
  const planLoad = resolveLoad(options, scenario, schedule);
  const times = {
    durationS: readBetween('The duration', options.durationS ?? defaults.durationS, 0.1, 7 * 24 * 3_600, 's'),
    warmUpS: readBetween('The warm-up', options.warmUpS ?? defaults.warmUpS, 0, 24 * 3_600, 's'),
  };
  const criteria = options.criteria ?? (options.plan === 'smoke' ? [] : (scenario.criteria ?? []));
  const target = options.target ?? scenario.target;
  if (target === undefined) {
    throw new LabError('ERR_LAB_TARGET', `${scenario.name} names no target: --target http://127.0.0.1:3000`);
  }
  const seed = options.seed ?? Math.floor(Math.random() * 2 ** 31);
  const machine = describeMachine();
  let plannedS = times.durationS + times.warmUpS;
  let monitor: Monitor | undefined;
  const isOpen = planLoad.rate !== undefined;
  const threads = readBetween('The number of threads', options.threads ?? 1, 1, THREADS_MAX, '');
  const connectionsMax = readBetween(
    'The number of connections',
    options.connectionsMax ?? connectionsFor(options.plan, planLoad),
    4,
    CONNECTIONS_MAX,
    '',
  );
  const session = await Session.open({
    scenario,
    module,
    target,
    model: isOpen ? 'open' : 'closed',
    targetIsMine: options.targetIsMine,
    seed,
    threads,
    connectionsMax,
    onSecond: (second, said) => {
      const seen = monitor?.samples.at(-1);
      options.onProgress?.({
        second,
        server: { ...seen, ...said },
        elapsedS: second.atS + 1,
        plannedS,
      });
    },
  });
  try {
    monitor = startMonitor({
      pid: options.serverPid,
      probeFolder: options.probeFolder,
      healthUrl: `${session.target.origin}/health`,
      elapsedS: () => session.elapsedS,
    });
    const running = monitor;
    const outcome = await PLANS[options.plan]({
      session,
      load: planLoad,
      times,
      schedule,
      // Each thread has an equal share of the connections, and a user needs one.
      levelMax: isOpen ? RATE_MAX : Math.floor(connectionsMax / threads) * threads,
      connectionsMax,
      criteria,
      signal: options.signal,
      onPlanned: (seconds) => {
        plannedS = session.elapsedS + seconds;
      },
      monitor: () => running,
      resize: options.resize,
    });
    const endS = session.elapsedS;
    const { generator, samples, slowest } = await session.summarize();
    const { total, steps, durationS } = session.total();
    const server = joinSamples(running.samples, session.said, endS);
    const figures = total.figures(durationS);
    const verdicts = outcome.verdicts ?? judge(criteria, figures, server);
    const isVoid = generator.void !== undefined && options.plan !== 'smoke';
    return {
      format: RUN_RESULT_FORMAT,
      scenario: { name: scenario.name, steps: session.stepNames },
      target: session.target.origin,
      ...(options.architecture !== undefined && { architecture: options.architecture }),
      plan: {
        kind: options.plan,
        model: isOpen ? 'open' : 'closed',
        ...(!isOpen && { thinkMs: planLoad.thinkMs }),
      },
      seed,
      startedAt: session.startedAt.toISOString(),
      durationS: outcome.phases.at(-1)?.toS ?? 0,
      ended: outcome.ended,
      machine,
      generator,
      total: figures,
      phases: outcome.phases.map((phase) => withServerCpu(phase, server)),
      steps: session.stepNames.map((name, step) => ({
        ...(steps[step] as (typeof steps)[number]).figures(durationS),
        name,
      })),
      seconds: session.seconds,
      samples,
      slowest,
      server,
      criteria: verdicts,
      findings: outcome.findings,
      verdict: decideVerdict(verdicts, isVoid, outcome.failed === true),
    };
  } finally {
    monitor?.stop();
    await session.close();
  }
}

/** A user of the closed model has a connection; `stress` doesn't know yet how many users there will be. */
function connectionsFor(plan: PlanKind, { users }: PlanLoad): number {
  if (users === undefined) return CONNECTIONS_DEFAULT;
  return plan === 'stress' ? CONNECTIONS_MAX : Math.max(CONNECTIONS_DEFAULT, users * (plan === 'spike' ? 10 : 1));
}

/** The caller's, or the scenario's if the caller says nothing of load and times. */
function resolveSchedule(options: RunOptions, scenario: Scenario): readonly SchedulePart[] | undefined {
  const { plan, rate, users, durationS, warmUpS } = options;
  const isPlain = [rate, users, durationS, warmUpS].every((value) => value === undefined);
  if (options.schedule && (plan !== 'load' || !isPlain)) {
    throw new LabError(
      'ERR_LAB_OPTION',
      'A schedule is for the plan load, and says itself how much comes and how long: without a rate, users, a duration or a warm-up.',
    );
  }
  if (options.schedule) return options.schedule;
  return plan === 'load' && isPlain && scenario.schedule !== undefined ? parseSchedule(scenario.schedule) : undefined;
}

function resolveLoad(options: RunOptions, scenario: Scenario, schedule?: readonly SchedulePart[]): PlanLoad {
  const defaults = PLAN_DEFAULTS[options.plan];
  if (options.rate !== undefined && options.users !== undefined) {
    throw new LabError(
      'ERR_LAB_OPTION',
      'A run has a rate or users, not both: requests that come, or people who wait.',
    );
  }
  const { rate, users } = schedule
    ? highestOf(schedule)
    : options.rate !== undefined || options.users !== undefined
      ? options
      : defaults;
  const thinkDefault = options.plan === 'smoke' ? 0 : THINK_MS_DEFAULT;
  return {
    rate: rate === undefined ? undefined : readBetween('The rate', rate, 0.1, RATE_MAX, ' requests/s'),
    users: users === undefined ? undefined : readBetween('The number of users', users, 1, CONNECTIONS_MAX, ''),
    thinkMs: readBetween('The time to think', options.thinkMs ?? scenario.thinkMs ?? thinkDefault, 0, 3_600_000, ' ms'),
    timing: options.timing ?? 'random',
  };
}

function highestOf(schedule: readonly SchedulePart[]): Pick<PlanLoad, 'rate' | 'users'> {
  const highest = Math.max(...schedule.flatMap(({ from, to }) => [from, to]));
  return schedule[0]?.unit === '/s' ? { rate: highest } : { users: highest };
}

function readBetween(name: string, value: number, min: number, max: number, unit: string): number {
  if (value >= min && value <= max) return value;
  throw new LabError('ERR_LAB_OPTION', `${name} is ${value}${unit}; allowed is ${min} to ${max}${unit}.`);
}

/** What was seen of the processes, with what the answers of the same second said. */
function joinSamples(
  seen: readonly ServerSample[],
  said: readonly ServerSample[],
  endS: number,
): readonly ServerSample[] {
  const bySecond = new Map(said.map((sample) => [sample.atS, sample]));
  const joined = seen
    .filter(({ atS }) => atS <= endS)
    .map((sample) => {
      const second = Math.floor(sample.atS);
      const answers = bySecond.get(second);
      bySecond.delete(second);
      return { ...answers, ...sample };
    });
  const left = [...bySecond.values()].filter((sample) => Object.keys(sample).length > 1);
  return [...joined, ...left].sort((a, b) => a.atS - b.atS);
}

function withServerCpu<P extends Driven['phases'][number]>(phase: P, server: readonly ServerSample[]): P {
  const cores = server
    .filter(({ atS }) => atS > phase.fromS && atS <= phase.toS)
    .map(({ cpuCores }) => cpuCores)
    .filter((used) => used !== undefined);
  if (cores.length === 0) return phase;
  return { ...phase, serverCpuCores: cores.reduce((sum, used) => sum + used, 0) / cores.length };
}
