/** The words after `vazao lab run`. */
import { parseArgs } from 'node:util';
import type { Architecture } from '../lab/compare/architectures.ts';
import { PLAN_KINDS } from '../lab/plans/plan.ts';
import { parseSchedule, type SchedulePart } from '../lab/plans/schedule-words.ts';
import type { Criterion, PlanKind } from '../lab/run-result.ts';
import { didYouMean } from '../runtime/nearest.ts';
import { readArchitecture, readWorkers } from './lab-compare-words.ts';
import { UsageError } from './usage-error.ts';

export interface LabRunWords {
  /** Path of a scenario's module, or the name of an application. */
  readonly scenario: string;
  readonly plan: PlanKind;
  readonly target: string | undefined;
  readonly targetIsMine: string | undefined;
  readonly rate: number | undefined;
  readonly users: number | undefined;
  readonly schedule: readonly SchedulePart[] | undefined;
  readonly thinkMs: number | undefined;
  readonly timing: 'even' | 'random' | undefined;
  readonly durationS: number | undefined;
  readonly warmUpS: number | undefined;
  readonly criteria: readonly Criterion[] | undefined;
  readonly seed: number | undefined;
  readonly threads: number | undefined;
  readonly connectionsMax: number | undefined;
  /** Command that starts the server, for the time of the run. */
  readonly serve: string | undefined;
  readonly pid: number | undefined;
  /** Under which an application of ours is started, if nobody says where a server is. */
  readonly architecture: Architecture;
  readonly volumeCommand: string | undefined;
  /** File for the result. */
  readonly json: string | undefined;
}

export const LAB_RUN_USAGE = `vazao lab run <scenario|app> [--plan load|stress|spike|volume|soak|smoke] [--rate N | --users N | --schedule '30s:100/s, 60s:100..500/s'] [--duration 60s]`;

const OPTIONS = {
  plan: { type: 'string' },
  target: { type: 'string' },
  'target-is-mine': { type: 'string' },
  rate: { type: 'string' },
  users: { type: 'string' },
  schedule: { type: 'string' },
  think: { type: 'string' },
  timing: { type: 'string' },
  duration: { type: 'string' },
  'warm-up': { type: 'string' },
  criteria: { type: 'string' },
  seed: { type: 'string' },
  threads: { type: 'string' },
  connections: { type: 'string' },
  serve: { type: 'string' },
  pid: { type: 'string' },
  architecture: { type: 'string' },
  workers: { type: 'string' },
  'volume-command': { type: 'string' },
  json: { type: 'string' },
} as const;

/** @param parseCriteria - of the lab, which is loaded late. Throws {@link UsageError} */
export function parseLabRunWords(
  words: readonly string[],
  parseCriteria: (text: string) => readonly Criterion[],
): LabRunWords {
  const { values, positionals } = parse(words);
  const [scenario, ...surplus] = positionals;
  if (scenario === undefined) throw new UsageError(`Something is missing. Usage: ${LAB_RUN_USAGE}`);
  if (surplus.length > 0) throw new UsageError(`One word too many: ${surplus[0]}. Usage: ${LAB_RUN_USAGE}`);
  if (values.rate !== undefined && values.users !== undefined) {
    throw new UsageError('--rate and --users exclude each other: requests that come, or people who wait.');
  }
  if (values.serve !== undefined && values.pid !== undefined) {
    throw new UsageError('--serve and --pid exclude each other: a server that is started, or one that runs.');
  }
  return {
    scenario,
    plan: readChoice('plan', values.plan, PLAN_KINDS) ?? 'load',
    target: values.target,
    targetIsMine: values['target-is-mine'],
    rate: readNumber('rate', values.rate),
    users: readWhole('users', values.users),
    schedule: values.schedule === undefined ? undefined : parseSchedule(values.schedule),
    thinkMs: inMilliseconds(readSeconds('think', values.think)),
    timing: readChoice('timing', values.timing, ['even', 'random'] as const),
    durationS: readSeconds('duration', values.duration),
    warmUpS: readSeconds('warm-up', values['warm-up']),
    criteria: values.criteria === undefined ? undefined : parseCriteria(values.criteria),
    seed: readWhole('seed', values.seed),
    threads: readWhole('threads', values.threads),
    connectionsMax: readWhole('connections', values.connections),
    serve: values.serve,
    pid: readWhole('pid', values.pid),
    architecture: readArchitecture(values.architecture ?? 'workers+cache', readWorkers(values.workers)),
    volumeCommand: values['volume-command'],
    json: values.json,
  };
}

function parse(words: readonly string[]) {
  try {
    return parseArgs({ args: [...words], options: OPTIONS, allowPositionals: true, strict: true });
  } catch (error) {
    const unknown = /Unknown option '([^']+)'/.exec((error as Error).message)?.[1];
    if (unknown === undefined) throw new UsageError(`${(error as Error).message}. Usage: ${LAB_RUN_USAGE}`);
    const known = Object.keys(OPTIONS).map((name) => `--${name}`);
    throw new UsageError(`\`vazao lab run\` has no option ${unknown}${didYouMean(unknown, known)}`);
  }
}

function readChoice<T extends string>(name: string, word: string | undefined, choices: readonly T[]): T | undefined {
  if (word === undefined) return undefined;
  const found = choices.find((choice) => choice === word);
  if (found !== undefined) return found;
  const nearest = didYouMean(word, choices);
  const hint = nearest === '.' ? `; allowed is ${choices.join(', ')}.` : nearest;
  throw new UsageError(`There is no ${name} ${word}${hint}`);
}

function readNumber(name: string, text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const value = /^\d+(\.\d+)?$/.test(text.trim()) ? Number(text) : Number.NaN;
  if (value >= 0) return value;
  throw new UsageError(`--${name} is ${JSON.stringify(text)}; allowed is a number, as 500.`);
}

function readWhole(name: string, text: string | undefined): number | undefined {
  const value = readNumber(name, text);
  if (value === undefined || Number.isSafeInteger(value)) return value;
  throw new UsageError(`--${name} is ${JSON.stringify(text)}; allowed is a whole number.`);
}

const SECONDS: Readonly<Record<string, number>> = { ms: 0.001, s: 1, min: 60, h: 3_600 };

/** `90s`, `1.5min`, `200ms`; a number alone is seconds. */
function readSeconds(name: string, text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const [, number, unit = 's'] = /^(\d+(?:\.\d+)?)\s*(ms|s|min|h)?$/.exec(text.trim()) ?? [];
  if (number !== undefined) return Number(number) * (SECONDS[unit] as number);
  throw new UsageError(`--${name} is ${JSON.stringify(text)}; allowed is a time, as 200ms, 60s, 5min or 1h.`);
}

function inMilliseconds(seconds: number | undefined): number | undefined {
  return seconds === undefined ? undefined : seconds * 1_000;
}
