/**
 * Lists of plain literals, cut down to two: `in (1, 2, 3, … 20000)` becomes `in (1, 2)`. What the text names (tables, columns,
 * functions, types) is all still there, so that its analysis says what it reads; not which rows, for the values are gone. It takes
 * one pass over the text, where parsing all of it would take tens of milliseconds.
 */
import { mentionsCurrentTime } from './inspect.ts';

const KEPT = 2;
/** Of PostgreSQL's scanner (scan.l, `space`): to it, what else Unicode calls a space is a letter. */
const SPACE = String.raw`[ \t\n\r\f\v]*`;
/** Whole, and followed by the next one or the end of the list. */
const LITERAL = String.raw`(?:-?\d+(?:\.\d+)?|'(?:[^']|'')*')(?=${SPACE}[,)\]])`;
const FIRST = new RegExp(`${SPACE}${LITERAL}`, 'y');
const NEXT = new RegExp(`${SPACE},${SPACE}${LITERAL}`, 'y');
/** Quoted text, a run of anything else, or what a list may begin with. */
const TOKEN = /'(?:[^']|'')*'|"(?:[^"]|"")*"|[^'"([]+|[([]/y;
/** Backslashes, comments and dollar quotes: where a literal ends depends on more than is looked at here. */
const UNSURE = /\\|--|\/\*|\$(?!\d)/;

/** Undefined where it isn't surely known what is a literal, or one of them may mean the current time. */
export function shortenLists(text: string): string | undefined {
  if (UNSURE.test(text)) return undefined;
  let shortened = '';
  let copiedTo = 0;
  for (let at = 0; at < text.length; ) {
    const tokenEnd = endOf(TOKEN, text, at);
    if (tokenEnd === undefined) return undefined; // a quote that is not closed
    const isOpening = text[at] === '(' || text[at] === '[';
    at = tokenEnd;
    if (!isOpening) continue;
    let keptTo = at;
    let count = 0;
    for (let end = endOf(FIRST, text, at); end !== undefined; end = endOf(NEXT, text, at)) {
      at = end;
      if (++count <= KEPT) keptTo = end;
    }
    if (count <= KEPT) continue;
    if (mentionsCurrentTime(text.slice(keptTo, at))) return undefined;
    shortened += text.slice(copiedTo, keptTo);
    copiedTo = at;
  }
  return shortened + text.slice(copiedTo);
}

function endOf(pattern: RegExp, text: string, at: number): number | undefined {
  pattern.lastIndex = at;
  return pattern.test(text) ? pattern.lastIndex : undefined;
}
