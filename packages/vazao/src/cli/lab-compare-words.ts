/** The words after `vazao lab compare`. */
import { availableParallelism } from 'node:os';
import { parseArgs } from 'node:util';
import {
  ARCHITECTURE_NAMES,
  ARCHITECTURES_DEFAULT,
  type Architecture,
  type ArchitectureName,
  describeArchitecture,
  parseArchitecture,
} from '../lab/compare/architectures.ts';
import { TOLERANCE_DEFAULT } from '../lab/compare/regression.ts';
import { didYouMean } from '../runtime/nearest.ts';
import { UsageError } from './usage-error.ts';

export interface LabCompareWords {
  readonly application: string;
  readonly architectures: readonly Architecture[];
  /** Whether `full` joins where its programs are installed. */
  readonly addsFull: boolean;
  /** A revision of git that the working tree is compared with. */
  readonly against: string | undefined;
  /** The architecture that must meet the criteria. @defaultValue see `chooseJudged` */
  readonly judged: string | undefined;
  /** How much worse than it is not worse, as a share. */
  readonly tolerance: number;
  readonly minutes: number;
  readonly users: number;
  readonly thinkMs: number;
  readonly durationS: number;
  readonly warmUpS: number;
  readonly roundsMax: number;
  readonly workers: number;
  readonly seed: number | undefined;
  readonly html: string | undefined;
  readonly json: string | undefined;
  readonly markdown: string | undefined;
}

export const LAB_COMPARE_USAGE =
  'vazao lab compare <app> [--minutes 10] [--users 1000] [--think 1s] [--architectures single,workers+cache] [--against main]';

const OPTIONS = {
  architectures: { type: 'string' },
  architecture: { type: 'string', multiple: true },
  against: { type: 'string' },
  judged: { type: 'string' },
  tolerance: { type: 'string' },
  minutes: { type: 'string' },
  users: { type: 'string' },
  think: { type: 'string' },
  duration: { type: 'string' },
  'warm-up': { type: 'string' },
  rounds: { type: 'string' },
  workers: { type: 'string' },
  seed: { type: 'string' },
  html: { type: 'string' },
  json: { type: 'string' },
  markdown: { type: 'string' },
} as const;

/** Throws {@link UsageError}. */
export function parseLabCompareWords(words: readonly string[]): LabCompareWords {
  const { values, positionals } = parse(words);
  const [application, ...surplus] = positionals;
  if (application === undefined) throw new UsageError(`Something is missing. Usage: ${LAB_COMPARE_USAGE}`);
  if (surplus.length > 0) throw new UsageError(`One word too many: ${surplus[0]}. Usage: ${LAB_COMPARE_USAGE}`);
  const workers = readWorkers(values.workers);
  const chosen = values.architectures?.split(',').map((name) => readName(name.trim()));
  const own = (values.architecture ?? []).map(readOwn);
  // Revisions are compared under one architecture, if nobody names more.
  const names =
    chosen ?? (own.length > 0 ? [] : values.against === undefined ? ARCHITECTURES_DEFAULT : ['workers+cache' as const]);
  const architectures = [...names.map((name) => describeArchitecture(name, workers)), ...own];
  const addsFull = chosen === undefined && own.length === 0 && values.against === undefined;
  return {
    application,
    architectures,
    addsFull,
    judged: readJudged(values, [...architectures.map(({ name }) => name), ...(addsFull ? ['full'] : [])]),
    against: values.against,
    tolerance: (readNumber('tolerance', values.tolerance, 0, 1_000) ?? TOLERANCE_DEFAULT * 100) / 100,
    minutes: readNumber('minutes', values.minutes, 0.5, 24 * 60) ?? 10,
    users: readNumber('users', values.users, 1, 25_000) ?? 1_000,
    thinkMs: (readTime('think', values.think) ?? 1) * 1_000,
    durationS: readTime('duration', values.duration) ?? 10,
    warmUpS: readTime('warm-up', values['warm-up']) ?? 5,
    roundsMax: readNumber('rounds', values.rounds, 1, 1_000) ?? 12,
    workers,
    seed: readNumber('seed', values.seed, 0, 2 ** 31 - 1),
    html: values.html,
    json: values.json,
    markdown: values.markdown,
  };
}

function readJudged(
  { judged, against }: { readonly judged?: string; readonly against?: string },
  names: readonly string[],
): string | undefined {
  if (judged === undefined) return undefined;
  if (against !== undefined)
    throw new UsageError('--judged and --against exclude each other: there the revision is what decides.');
  if (names.includes(judged)) return judged;
  throw new UsageError(`--judged is ${judged}; compared are ${names.join(', ')}.`);
}

function parse(words: readonly string[]) {
  try {
    return parseArgs({ args: [...words], options: OPTIONS, allowPositionals: true, strict: true });
  } catch (error) {
    const unknown = /Unknown option '([^']+)'/.exec((error as Error).message)?.[1];
    if (unknown === undefined) throw new UsageError(`${(error as Error).message}. Usage: ${LAB_COMPARE_USAGE}`);
    const known = Object.keys(OPTIONS).map((name) => `--${name}`);
    throw new UsageError(`\`vazao lab compare\` has no option ${unknown}${didYouMean(unknown, known)}`);
  }
}

/** @param text - of `--workers` */
export function readWorkers(text: string | undefined): number {
  return readNumber('workers', text, 1, 256) ?? availableParallelism();
}

/** One of ours by its name, or one's own. */
export function readArchitecture(text: string, workers: number): Architecture {
  return text.includes(':') ? readOwn(text) : describeArchitecture(readName(text), workers);
}

function readName(name: string): ArchitectureName {
  const found = ARCHITECTURE_NAMES.find((known) => known === name);
  if (found) return found;
  throw new UsageError(
    `There is no architecture ${name}; there are ${ARCHITECTURE_NAMES.join(', ')}, and your own: --architecture 'mine:WORKERS=4'.`,
  );
}

function readOwn(text: string): Architecture {
  const found = parseArchitecture(text);
  if (found) return found;
  throw new UsageError(
    `--architecture is ${JSON.stringify(text)}; write a name and variables: 'mine:WORKERS=4 CACHE_SIZE=64MB'.`,
  );
}

function readNumber(name: string, text: string | undefined, min: number, max: number): number | undefined {
  if (text === undefined) return undefined;
  const value = /^\d+(\.\d+)?$/.test(text.trim()) ? Number(text) : Number.NaN;
  if (value >= min && value <= max) return value;
  throw new UsageError(`--${name} is ${JSON.stringify(text)}; allowed is a number from ${min} to ${max}.`);
}

/** Seconds of `200ms`, `15s`, `1min`; a number alone is seconds. */
export function readTime(name: string, text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const [, number, unit = 's'] = /^(\d+(?:\.\d+)?)\s*(ms|s|min|h)?$/.exec(text.trim()) ?? [];
  if (number !== undefined) return Number(number) * ({ ms: 0.001, s: 1, min: 60, h: 3_600 }[unit] as number);
  throw new UsageError(`--${name} is ${JSON.stringify(text)}; allowed is a time, as 200ms, 15s or 1min.`);
}
