/** Cuts a file for psql into statements: quotes, comments, function bodies, and the data of `COPY … FROM stdin`. */

const ROWS_PER_INSERT = 500;

export function splitSql(text: string): string[] {
  const statements: string[] = [];
  let start = 0;
  let at = 0;
  let atomic = 0;
  const end = (next: number): void => {
    const statement = text.slice(start, at).trim();
    at = next;
    start = next;
    atomic = 0;
    if (isEmpty(statement)) return;
    const copy = /^copy\s+([^\s(]+)\s*(\([^)]*\))?\s+from\s+stdin/i.exec(withoutComments(statement));
    if (!copy) {
      statements.push(statement);
      return;
    }
    const begin = text.indexOf('\n', next) + 1;
    const stop = /^\\\.\s*$/m.exec(text.slice(begin));
    const dataEnd = stop ? begin + stop.index : text.length;
    statements.push(...toInserts(copy[1] ?? '', copy[2] ?? '', text.slice(begin, dataEnd)));
    at = stop ? dataEnd + stop[0].length : text.length;
    start = at;
  };
  while (at < text.length) {
    const rest = text[at];
    if (rest === "'") at = skipString(text, at, /[eE]/.test(text[at - 1] ?? '') && !/\w/.test(text[at - 2] ?? ' '));
    else if (rest === '"') at = skipQuoted(text, at, '"');
    else if (text.startsWith('--', at)) at = lineEnd(text, at);
    else if (text.startsWith('/*', at)) at = skipComment(text, at);
    else if (rest === '$' && !/\w/.test(text[at - 1] ?? ' ')) at = skipDollar(text, at);
    else if (rest === '\\' && isEmpty(text.slice(start, at))) {
      at = lineEnd(text, at); // a command of psql's own
      start = at;
    } else if (rest === ';' && atomic === 0) end(at + 1);
    else if (/[a-z]/i.test(rest ?? '')) {
      const word = /^\w+/.exec(text.slice(at, at + 100))?.[0].toLowerCase() ?? '';
      if (word === 'begin' && /^begin\s+atomic\b/i.test(text.slice(at, at + 100))) atomic++;
      else if (word === 'case' && atomic > 0) atomic++;
      else if (word === 'end' && atomic > 0) atomic--;
      at += Math.max(word.length, 1);
    } else at++;
  }
  end(text.length);
  return statements;
}

function isEmpty(statement: string): boolean {
  return withoutComments(statement) === '';
}

function withoutComments(statement: string): string {
  return statement.replaceAll(/--[^\n]*|\/\*[\s\S]*?\*\//g, '').trim();
}

function lineEnd(text: string, at: number): number {
  const end = text.indexOf('\n', at);
  return end < 0 ? text.length : end;
}

function skipQuoted(text: string, at: number, quote: string): number {
  const end = text.indexOf(quote, at + 1);
  return end < 0 ? text.length : end + 1; // a doubled quote begins the next one
}

function skipString(text: string, at: number, hasEscapes: boolean): number {
  if (!hasEscapes) return skipQuoted(text, at, "'");
  let next = at + 1;
  while (next < text.length && text[next] !== "'") next += text[next] === '\\' ? 2 : 1;
  return next + 1;
}

function skipComment(text: string, at: number): number {
  let depth = 1;
  let next = at + 2;
  while (next < text.length && depth > 0) {
    if (text.startsWith('/*', next)) depth++;
    else if (text.startsWith('*/', next)) depth--;
    next += /^(\/\*|\*\/)/.test(text.slice(next, next + 2)) ? 2 : 1;
  }
  return next;
}

function skipDollar(text: string, at: number): number {
  const tag = /^\$(?:[A-Za-z_\u0080-\uffff][\w\u0080-\uffff]*)?\$/.exec(text.slice(at, at + 100))?.[0];
  if (tag === undefined) return at + 1; // a parameter
  const end = text.indexOf(tag, at + tag.length);
  return end < 0 ? text.length : end + tag.length;
}

const ESCAPES: Readonly<Record<string, string>> = { b: '\b', f: '\f', n: '\n', r: '\r', t: '\t', v: '\v' };

function toInserts(table: string, columns: string, data: string): string[] {
  const rows = data.split('\n').filter((line) => line !== '');
  const inserts: string[] = [];
  for (let from = 0; from < rows.length; from += ROWS_PER_INSERT) {
    const values = rows
      .slice(from, from + ROWS_PER_INSERT)
      .map((row) => `(${row.split('\t').map(toLiteral).join(', ')})`);
    inserts.push(`insert into ${table} ${columns} overriding system value values ${values.join(',\n')}`);
  }
  return inserts;
}

function toLiteral(field: string): string {
  if (field === '\\N') return 'null';
  const text = field.replaceAll(/\\([0-7]{1,3}|.)/g, (_, code: string) =>
    /^[0-7]/.test(code) ? String.fromCharCode(Number.parseInt(code, 8)) : (ESCAPES[code] ?? code),
  );
  return `'${text.replaceAll("'", "''")}'`;
}
