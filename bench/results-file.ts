/** bench/RESULTS.md: what a benchmark writes there itself stands between two marks with its command. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const FILE = join(import.meta.dirname, 'RESULTS.md');

/** Replaces what stands between the marks of the command. Throws where there are none. */
export function writeSection(command: string, text: string): void {
  const [from, to] = [`<!-- ${command} -->`, `<!-- end of ${command} -->`];
  const before = readFileSync(FILE, 'utf8');
  const [start, end] = [before.indexOf(from), before.indexOf(to)];
  if (start < 0 || end < start)
    throw new Error(`bench/RESULTS.md has no ${from} and ${to}, between which the table goes.`);
  writeFileSync(FILE, `${before.slice(0, start)}${from}\n\n${text.trim()}\n\n${before.slice(end)}`);
}
