/** The words after `vazao torture`. They take values, and `--json` names a file here: so they are read by themselves. */
import { parseArgs } from 'node:util';
import { didYouMean } from '../runtime/nearest.ts';
import { UsageError } from './usage-error.ts';

export type SecondFeed = (typeof SECOND_FEEDS)[number];

/** A source by which several workers see what all write. */
const SECOND_FEEDS = ['wal', 'outbox', 'stream'] as const;

export interface TortureWords {
  /** A word for `vazao start`. @defaultValue the only application here that has a profile */
  readonly application: string | undefined;
  /** @defaultValue 10 */
  readonly minutes: number;
  /** @defaultValue a random one */
  readonly seed: number | undefined;
  /** Names of faults; none for an empty list. @defaultValue all */
  readonly faults: readonly string[] | undefined;
  /** Name of the rule to break, or all of them one after the other. @defaultValue none */
  readonly mutations: 'all' | string | undefined;
  /** File for the report as JSON. */
  readonly json: string | undefined;
  /** The source of the feed of the second host. @defaultValue that of the first */
  readonly secondFeed: SecondFeed | undefined;
  /** A goal that is not met counts as a violation does. @defaultValue false */
  readonly goals: boolean;
}

export const TORTURE_USAGE =
  'vazao torture [app] [--minutes N] [--seed S] [--faults a,b | --no-faults] [--mutation a,b | --mutations] [--second-feed SOURCE] [--goals] [--json FILE]';

const MINUTES_DEFAULT = 10;
const MINUTES_MIN = 0.2;
const MINUTES_MAX = 24 * 60;
const OPTIONS = {
  minutes: { type: 'string' },
  seed: { type: 'string' },
  faults: { type: 'string' },
  'no-faults': { type: 'boolean' },
  mutation: { type: 'string' },
  mutations: { type: 'boolean' },
  'second-feed': { type: 'string' },
  goals: { type: 'boolean' },
  json: { type: 'string' },
} as const;

/** Throws {@link UsageError}. */
export function parseTortureWords(words: readonly string[]): TortureWords {
  const { values, positionals } = parse(words);
  const [application, ...surplus] = positionals;
  if (surplus.length > 0) throw new UsageError(`One word too many: ${surplus[0]}. Usage: ${TORTURE_USAGE}`);
  if (values.faults !== undefined && values['no-faults'])
    throw new UsageError('--faults and --no-faults exclude each other.');
  if (values.mutation !== undefined && values.mutations)
    throw new UsageError('--mutation and --mutations exclude each other.');
  if (values.goals && (values.mutation !== undefined || values.mutations))
    throw new UsageError('--goals is of runs whose rules hold: not with --mutation.');
  return {
    application,
    minutes: readNumber('minutes', values.minutes, MINUTES_MIN, MINUTES_MAX) ?? MINUTES_DEFAULT,
    seed: readNumber('seed', values.seed, 0, 2 ** 32 - 1),
    faults: values['no-faults'] ? [] : values.faults?.split(',').map((name) => name.trim()),
    mutations: values.mutations ? 'all' : values.mutation,
    json: values.json,
    secondFeed: readSecondFeed(values['second-feed']),
    goals: values.goals ?? false,
  };
}

function parse(words: readonly string[]) {
  try {
    return parseArgs({ args: [...words], options: OPTIONS, allowPositionals: true, strict: true });
  } catch (error) {
    const unknown = /Unknown option '([^']+)'/.exec((error as Error).message)?.[1];
    if (unknown === undefined) throw new UsageError(`${(error as Error).message}. Usage: ${TORTURE_USAGE}`);
    const known = Object.keys(OPTIONS).map((name) => `--${name}`);
    throw new UsageError(`\`vazao torture\` has no option ${unknown}${didYouMean(unknown, known)}`);
  }
}

function readSecondFeed(text: string | undefined): SecondFeed | undefined {
  if (text === undefined) return undefined;
  const found = SECOND_FEEDS.find((source) => source === text);
  if (found) return found;
  throw new UsageError(`--second-feed is ${JSON.stringify(text)}; allowed is ${SECOND_FEEDS.join(', ')}.`);
}

function readNumber(name: string, text: string | undefined, min: number, max: number): number | undefined {
  if (text === undefined) return undefined;
  const value = text.trim() === '' ? Number.NaN : Number(text);
  if (value >= min && value <= max && (name !== 'seed' || Number.isInteger(value))) return value;
  throw new UsageError(
    `--${name} is ${JSON.stringify(text)}; allowed is a ${name === 'seed' ? 'whole ' : ''}number from ${min} to ${max}.`,
  );
}
