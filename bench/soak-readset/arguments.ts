/** The command line of the soak run. */
import { readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { parseArgs } from 'node:util';
import { CorpusError, type CorpusFile } from '../../packages/vazao/src/readset/oracle/corpus.fuzz.ts';

export const HELP = `npm run soak:readset -- [options]

Runs statements before and after changes on a real PostgreSQL: if an answer changed, the change must touch the statement's
read set. Prints the cases counted, misses, refusals by code and the rate of false alarms. Ends with code 1 on a miss, and
prints the smallest case found as SQL for psql.

  --minutes N     how long; fractions are fine (default 1)
  --cases N       ends earlier, after so many cases
  --seed S        repeats a run; printed by each run (default: drawn)
  --from G        begins at this group of cases of the seed (default 0)
  --workers N     processes (default: one a core, at most 8)
  --help

Instead of drawn schemas, your own:
  --schema FILE   SQL that creates the tables (a dump is fine)
  --data FILE     SQL that fills them (INSERT, or COPY … FROM stdin)
  --corpus FILE   the statements, separated by semicolons; parameters as $1, $2 …
  --verbose       also prints each statement that was refused or rejected, with the reason
`;

export interface SoakArguments {
  readonly minutes: number;
  readonly cases: number;
  readonly seed: number;
  readonly from: number;
  readonly workers: number;
  readonly verbose: boolean;
  readonly files:
    | { readonly schema: CorpusFile; readonly data: CorpusFile | undefined; readonly corpus: CorpusFile }
    | undefined;
}

/** Undefined: help was asked for. Throws a {@link CorpusError} that says in a sentence what is wrong. */
export function parseArguments(words: readonly string[]): SoakArguments | undefined {
  let values: Partial<Record<string, string | boolean>>;
  try {
    ({ values } = parseArgs({
      args: [...words],
      options: {
        minutes: { type: 'string' },
        cases: { type: 'string' },
        seed: { type: 'string' },
        from: { type: 'string' },
        workers: { type: 'string' },
        schema: { type: 'string' },
        data: { type: 'string' },
        corpus: { type: 'string' },
        verbose: { type: 'boolean' },
        help: { type: 'boolean', short: 'h' },
      },
    }));
  } catch (error) {
    throw new CorpusError(`${error instanceof Error ? error.message : String(error)} (--help lists the options.)`);
  }
  if (values.help) return undefined;
  const number = (name: string, fallback: number, min: number): number => {
    const text = values[name];
    if (text === undefined) return fallback;
    const value = Number(text);
    if (text === '' || !Number.isFinite(value) || value < min)
      throw new CorpusError(`--${name} ${String(text)}: a number of at least ${min} is wanted.`);
    return value;
  };
  const { schema, data, corpus } = values;
  if ((schema === undefined) !== (corpus === undefined))
    throw new CorpusError('--schema and --corpus are given together.');
  if (data !== undefined && schema === undefined) throw new CorpusError('--data needs --schema and --corpus.');
  return {
    minutes: number('minutes', 1, 0.01),
    cases: number('cases', Number.POSITIVE_INFINITY, 1),
    seed: Math.trunc(number('seed', Math.floor(Math.random() * 2 ** 31), 0)),
    from: Math.trunc(number('from', 0, 0)),
    workers: Math.trunc(number('workers', Math.min(availableParallelism(), 8), 1)),
    verbose: values.verbose === true,
    files:
      typeof schema === 'string' && typeof corpus === 'string'
        ? { schema: read(schema), data: typeof data === 'string' ? read(data) : undefined, corpus: read(corpus) }
        : undefined,
  };
}

const FILE_BYTES_MAX: number = 256 * 1024 * 1024;

function read(name: string): CorpusFile {
  let bytes: Buffer;
  try {
    bytes = readFileSync(name);
  } catch (error) {
    throw new CorpusError(`${name} can't be read: ${error instanceof Error ? error.message : String(error)}.`);
  }
  if (bytes.length > FILE_BYTES_MAX)
    throw new CorpusError(`${name} is larger than ${FILE_BYTES_MAX / 1024 / 1024} MiB; take a part of it.`);
  return { name, text: bytes.toString('utf8') };
}
