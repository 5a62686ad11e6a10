import { FeedError } from '../errors.ts';

/**
 * Reads a row as PostgreSQL writes one, `(1,"a ""b""",,"")`: between commas nothing is NULL, quotes and backslashes are
 * doubled inside quotes.
 */
export function parseRowText(text: string): (string | null)[] {
  const end = text.length - 1;
  if (text[0] !== '(' || text[end] !== ')') throw malformed();
  const values: (string | null)[] = [];
  if (end === 1) return [null];
  for (let at = 1; at <= end; at++) {
    if (text[at] !== '"') {
      let stop = text.indexOf(',', at);
      if (stop < 0) stop = end;
      values.push(stop === at ? null : text.slice(at, stop));
      at = stop;
      continue;
    }
    let value = '';
    let from = at + 1;
    for (;;) {
      const quote = text.indexOf('"', from);
      if (quote < 0) throw malformed();
      value += text.slice(from, quote);
      if (text[quote + 1] !== '"') {
        at = quote + 1;
        break;
      }
      value += '"';
      from = quote + 2;
    }
    if (at < end && text[at] !== ',') throw malformed();
    values.push(value.includes('\\') ? value.replaceAll('\\\\', '\\') : value);
  }
  return values;
}

function malformed(): FeedError {
  return new FeedError('ERR_FEED_PROTOCOL', 'The outbox holds a row that is no text of a row.');
}
