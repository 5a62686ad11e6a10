/**
 * A statement's text as tokens, by the rules of PostgreSQL's scanner (scan.l) with `standard_conforming_strings` on. Parsing says much
 * more, and takes ten times as long.
 */

/** Of literals and parameters. */
export const LITERAL = 0;

export interface Tokens {
  /** Where each token begins in the text, and where it ends. */
  readonly starts: readonly number[];
  readonly ends: readonly number[];
  /** The same number for the same text, whatever its position; {@link LITERAL} for all literals and parameters. */
  readonly words: readonly number[];
  /** Names (letters as they are written, quotes among them), operators and brackets, by that number. */
  readonly texts: readonly string[];
  /** The greatest number of a parameter; 0 for none. */
  readonly parameterCount: number;
}

// To PostgreSQL what else Unicode calls a space is a letter, as is every character beyond ASCII.
const SPACE = /(?:[ \t\n\r\f\v]+|--[^\n\r]*)+/y;
const NAME = /[A-Za-z_\u0080-\uffff][\w$\u0080-\uffff]*/y;
// So written that a text of megabytes is one step, which takes no room on the stack of what could still be tried.
const QUOTED_NAME = /"[^"]*(?:""[^"]*)*"/y;
const TEXT = /[bBxXnN]?'[^']*(?:''[^']*)*'/y;
const ESCAPED_TEXT = /[eE]'[^'\\]*(?:(?:''|\\[\s\S])[^'\\]*)*'/y;
const DOLLAR_TEXT = /\$(?:\d+|((?:[A-Za-z_\u0080-\uffff][\w\u0080-\uffff]*)?)\$[\s\S]*?\$\1\$)/y;
/** A sign within an exponent belongs to the number. */
const NUMBER = /0[xXoObB][\dA-Fa-f_]+|(?:\d[\d_]*(?:\.[\d_]*)?|\.\d[\d_]*)(?:[eE][+-]?\d+)?/y;
/** What is spelt in numbers of characters. */
const UNICODE = /[uU]&['"]/y;
const COLON = /::|:=|:/y;
const OPERATOR = /(?:(?!--|\/\*)[-+*/<>=~!@#%^&|`?])+/y;
const SINGLE = /[^'"]/y;

/** What a token may be that begins with a character, in the order in which it is tried. */
const FORMS: readonly (readonly [begin: string, forms: readonly RegExp[]])[] = [
  ['uU', [UNICODE, NAME]],
  ['bBxXnN', [TEXT, NAME]],
  ['eE', [ESCAPED_TEXT, NAME]],
  ['abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_', [NAME]],
  ['0123456789', [NUMBER]],
  ["'", [TEXT]],
  ['"', [QUOTED_NAME]],
  ['$', [DOLLAR_TEXT]],
  ['.', [NUMBER, SINGLE]],
  [':', [COLON]],
  ['-+*/<>=~!@#%^&|`?', [OPERATOR]],
];
const BY_CHARACTER: readonly (readonly RegExp[])[] = Array.from({ length: 128 }, (_, code) => {
  const found = FORMS.find(([begin]) => begin.includes(String.fromCharCode(code)));
  return found?.[1] ?? [SINGLE];
});
const BEYOND_ASCII = [NAME];
const LITERALS: ReadonlySet<RegExp> = new Set([TEXT, ESCAPED_TEXT, DOLLAR_TEXT, NUMBER]);

/** Undefined if a quote or comment is not closed, a text goes on in another line, or something is spelt in numbers of characters. */
export function scanTokens(text: string): Tokens | undefined {
  const starts: number[] = [];
  const ends: number[] = [];
  const words: number[] = [];
  const texts = [''];
  const known = new Map<string, number>();
  let before: RegExp | undefined;
  let parameterCount = 0;
  for (let at = skipSpace(text, 0); at < text.length; ) {
    const form = at < 0 ? undefined : formAt(text, at);
    if (!form || form === UNICODE) return undefined;
    if (form === TEXT && (before === TEXT || before === ESCAPED_TEXT)) return undefined;
    const end = form === SINGLE ? at + 1 : form.lastIndex;
    if (form === DOLLAR_TEXT) parameterCount = Math.max(parameterCount, Number(text.slice(at + 1, end)) || 0);
    let word = LITERAL;
    if (!LITERALS.has(form)) {
      const found = text.slice(at, end);
      word = known.get(found) ?? texts.length;
      if (word === texts.length) {
        known.set(found, word);
        texts.push(found);
      }
    }
    starts.push(at);
    ends.push(end);
    words.push(word);
    before = form;
    at = skipSpace(text, end);
  }
  return { starts, ends, words, texts, parameterCount };
}

/** Brackets and comments before the first word, in characters. */
const BEFORE_FIRST_WORD_MAX = 4_096;

/** The first name or keyword, behind brackets; empty if something else comes first, or nothing else for long. */
export function firstWordOf(whole: string): string {
  const text = whole.slice(0, BEFORE_FIRST_WORD_MAX);
  let at = skipSpace(text, 0);
  while (at >= 0 && text[at] === '(') at = skipSpace(text, at + 1);
  NAME.lastIndex = Math.max(0, at);
  return at >= 0 && NAME.test(text) ? text.slice(at, NAME.lastIndex) : '';
}

function formAt(text: string, at: number): RegExp | undefined {
  const forms = BY_CHARACTER[text.charCodeAt(at)] ?? BEYOND_ASCII;
  for (const form of forms) {
    form.lastIndex = at;
    if (form === SINGLE || form.test(text)) return form;
  }
  return undefined;
}

/** Over comments too, which are nested in PostgreSQL. Negative if one is not closed. */
function skipSpace(text: string, start: number): number {
  let at = start;
  while (true) {
    const code = text.charCodeAt(at);
    if (code > 47) return at; // neither space nor a comment begins with it
    SPACE.lastIndex = at;
    if (SPACE.test(text)) at = SPACE.lastIndex;
    if (!text.startsWith('/*', at)) return at;
    const edge = /\/\*|\*\//g;
    edge.lastIndex = at;
    let depth = 0;
    for (let found = edge.exec(text); ; found = edge.exec(text)) {
      if (!found) return -1;
      depth += found[0] === '/*' ? 1 : -1;
      if (depth === 0) break;
    }
    at = edge.lastIndex;
  }
}
