/**
 * Tells only what failed, and why, in few lines: `test.sh` prints it last, where whoever reads the end of a long run finds it.
 */
import { relative } from 'node:path';
import type { TestEvent } from 'node:test/reporters';

/** Of one failure. */
const LINES_MAX = 14;

export default async function* reportFailures(events: AsyncIterable<TestEvent>): AsyncGenerator<string> {
  for await (const event of events) {
    if (event.type !== 'test:fail') continue;
    const { name, file = '', details } = event.data;
    const cause = details.error.cause ?? details.error;
    if (/^\d+ subtests? failed$/.test(String(details.error.cause))) continue;
    const text = cause instanceof Error ? (cause.stack ?? cause.message) : String(cause);
    const lines = text.split('\n').filter((line) => !line.includes('(node:internal/'));
    yield `-- ${name} (${relative('', file)})\n`;
    for (const line of lines.slice(0, LINES_MAX)) yield `   ${line}\n`;
    if (lines.length > LINES_MAX) yield `   … ${lines.length - LINES_MAX} more lines, above\n`;
  }
}
