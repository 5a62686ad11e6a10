/** PostgreSQL's text form of an array of one dimension: `{1,NULL,"a \"b\""}`. */

/** What PostgreSQL skips. JavaScript's `trim` knows more kinds of space, which are text to PostgreSQL. */
const SPACE = ' \t\n\v\f\r';
const OUTER_SPACE = /^[ \t\n\v\f\r]+|[ \t\n\v\f\r]+$/g;

/** The elements, `null` for NULL; undefined when the text is anything else (more dimensions, explicit bounds, an error). */
export function parseArrayLiteral(text: string): (string | null)[] | undefined {
  const input = text.replace(OUTER_SPACE, '');
  if (!input.startsWith('{') || !input.endsWith('}')) return undefined;
  const elements: (string | null)[] = [];
  let at = 1;
  const skipSpace = (): void => {
    while (SPACE.includes(input[at] ?? 'x')) at++;
  };
  skipSpace();
  if (input[at] === '}') return at === input.length - 1 ? elements : undefined;
  for (;;) {
    skipSpace();
    let value = '';
    if (input[at] === '"') {
      for (at++; input[at] !== '"'; at++) {
        if (input[at] === '\\') at++;
        const character = input[at];
        if (character === undefined) return undefined;
        value += character;
      }
      at++;
      elements.push(value);
    } else {
      const start = at;
      while (at < input.length && !',{}"\\'.includes(input[at] as string)) at++;
      value = input.slice(start, at).replace(OUTER_SPACE, '');
      // A backslash or quote within a bare element is legal and rare; it is left to "cannot tell".
      if (value === '') return undefined;
      elements.push(value.toUpperCase() === 'NULL' ? null : value);
    }
    skipSpace();
    const end = input[at++];
    if (end === '}') return at === input.length ? elements : undefined;
    if (end !== ',') return undefined;
  }
}

/** The text of an array of these elements. */
export function formatArrayLiteral(elements: readonly (string | null)[]): string {
  const texts = elements.map((element) => (element === null ? 'NULL' : `"${element.replaceAll(/["\\]/g, '\\$&')}"`));
  return `{${texts.join(',')}}`;
}
