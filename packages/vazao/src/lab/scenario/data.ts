/** Data for requests: rows of a CSV file, and numbers that are as unevenly asked for as real ones. */
import { readFileSync } from 'node:fs';
import type { Random } from '../engine/random.ts';
import { LabError } from '../errors.ts';

export type Row = Readonly<Record<string, string>>;

export interface Table {
  /** Number of rows. */
  readonly length: number;
  /** Any row. */
  pick(random: Random): Row;
  /** The same row for the same number, beginning again after the last. */
  at(index: number): Row;
}

const FILE_BYTES_MAX = 256 * 1024 * 1024;

/**
 * Rows of a file as in RFC 4180, whose first line names the columns. Read when the first row is asked for.
 * @param file - path, or `new URL('people.csv', import.meta.url)`
 */
export function csv(file: string | URL): Table {
  let rows: readonly Row[] | undefined;
  const load = (): readonly Row[] => {
    rows ??= readRows(file);
    return rows;
  };
  return {
    get length() {
      return load().length;
    },
    pick: (random) => random.pick(load()),
    at: (index) => load()[index % load().length] as Row,
  };
}

function readRows(file: string | URL): readonly Row[] {
  const [names = [], ...lines] = parseCsv(readFileSync(file, { encoding: 'utf8', flag: 'r' }));
  if (lines.length === 0) throw new LabError('ERR_LAB_SCENARIO', `${file} has no rows below its first line.`);
  return lines.map((values, index) => {
    if (values.length === names.length)
      return Object.fromEntries(names.map((name, at) => [name, values[at] as string]));
    throw new LabError(
      'ERR_LAB_SCENARIO',
      `Row ${index + 2} of ${file} has ${values.length} values, and the first line names ${names.length} columns.`,
    );
  });
}

/** Values by line. Throws {@link LabError} for a quote that does not end. */
export function parseCsv(text: string): string[][] {
  if (text.length > FILE_BYTES_MAX) throw new LabError('ERR_LAB_SCENARIO', 'A CSV file is larger than 256 MB.');
  const lines: string[][] = [];
  let line: string[] = [];
  // A value in quotes with doubled quotes inside, or one without; then what ends it.
  const value = /(?:"((?:[^"]|"")*)"|([^",\r\n]*))(,|\r?\n|$)/y;
  value.lastIndex = text.startsWith('\ufeff') ? 1 : 0;
  while (value.lastIndex < text.length) {
    const at = value.lastIndex;
    const match = value.exec(text);
    if (!match) {
      throw new LabError(
        'ERR_LAB_SCENARIO',
        `The CSV text has a stray quote near ${JSON.stringify(text.slice(at, at + 40))}.`,
      );
    }
    line.push(match[1]?.replaceAll('""', '"') ?? match[2] ?? '');
    if (match[3] === ',' && value.lastIndex < text.length) continue;
    if (match[3] === ',') line.push('');
    lines.push(line);
    line = [];
  }
  return lines.filter((values) => values.length > 1 || values[0] !== '');
}

/**
 * Whole numbers from 1 to `items`, the first the most often (Zipf): the n-th is asked for in proportion to 1 / n^exponent.
 * @param exponent - 0: all alike; about 1: pages of a site
 */
export function zipf(items: number, exponent = 1): (random: Random) => number {
  if (!Number.isInteger(items) || items < 1 || items > 10_000_000) {
    throw new LabError('ERR_LAB_SCENARIO', `zipf(${items}) needs a whole number of items from 1 to 10,000,000.`);
  }
  const sums = new Float64Array(items);
  let sum = 0;
  for (let rank = 1; rank <= items; rank++) {
    sum += rank ** -exponent;
    sums[rank - 1] = sum;
  }
  return (random) => {
    const drawn = random.next() * sum;
    let [low, high] = [0, items - 1];
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((sums[middle] as number) <= drawn) low = middle + 1;
      else high = middle;
    }
    return low + 1;
  };
}
