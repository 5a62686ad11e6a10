/**
 * Makes SQL text small, whoever wrote it: runs of words are left out, the longest first, and brackets around a whole, as
 * long as what is left still parses and is still missed. What parses is asked of the parser, some 50 µs for each attempt, so
 * that trying all runs of some 200 words costs seconds; leaving out parts of the syntax tree would need a printer of it.
 */
import { parseSync } from 'libpg-query';
import type { OracleStatement } from './oracle.fuzz.ts';

const WORD = /'(?:[^']|'')*'|"(?:[^"]|"")*"|\$\$.*?\$\$|\$\d+|[\w"]+(?:\.(?:\w+|"[^"]*"))*|::|[-+*/<>=~!@#%^&|?]+|\S/gs;
/** Attempts at running a statement: each takes some milliseconds. */
const ATTEMPTS_MAX = 4_000;

/** @param until - in the time of `performance.now()` */
export async function shrinkText(
  text: string,
  isStillMissed: (text: string) => Promise<boolean>,
  until: number,
): Promise<string> {
  let words: string[] = text.match(WORD) ?? [];
  let attempts = 0;
  const tried = new Set<string>();
  const attempt = async (rest: readonly string[]): Promise<boolean> => {
    const shorter = rest.join(' ');
    if (tried.has(shorter) || performance.now() > until || attempts >= ATTEMPTS_MAX) return false;
    tried.add(shorter);
    if (!parses(shorter)) return false;
    attempts++;
    if (!(await isStillMissed(shorter))) return false;
    words = [...rest];
    return true;
  };
  for (let before = Number.POSITIVE_INFINITY; words.length < before; ) {
    before = words.length;
    for (let length = words.length - 1; length > 0; length--) {
      for (let at = 0; at + length <= words.length; ) {
        if (!(await attempt([...words.slice(0, at), ...words.slice(at + length)]))) at++;
      }
    }
    for (const [open, close] of bracketsOf(words)) {
      await attempt(words.filter((_, at) => at !== open && at !== close));
    }
  }
  return words.length < (text.match(WORD) ?? []).length ? words.join(' ') : text;
}

/** The statement with parts left out; its parameters are numbered anew. */
export async function shrinkStatement(
  statement: OracleStatement,
  isStillMissed: (statement: OracleStatement) => Promise<boolean>,
  until: number,
): Promise<OracleStatement> {
  let best = statement;
  await shrinkText(
    statement.sql,
    async (sql) => {
      const candidate = renumber({ ...statement, sql });
      const isMissed = await isStillMissed(candidate);
      if (isMissed) best = candidate;
      return isMissed;
    },
    until,
  );
  return best;
}

/** PostgreSQL can't tell the type of a parameter that is not there. */
function renumber(statement: OracleStatement): OracleStatement {
  const used = [...new Set([...statement.sql.matchAll(/\$(\d+)/g)].map(([, number]) => Number(number)))].sort(
    (a, b) => a - b,
  );
  return {
    ...statement,
    sql: statement.sql.replaceAll(/\$(\d+)/g, (_, number) => `$${used.indexOf(Number(number)) + 1}`),
    parameters: used.map((number) => statement.parameters[number - 1] ?? null),
  };
}

function parses(text: string): boolean {
  try {
    parseSync(text);
    return true;
  } catch {
    return false;
  }
}

/** Places of brackets that belong together. */
function bracketsOf(words: readonly string[]): [open: number, close: number][] {
  const pairs: [number, number][] = [];
  const opened: number[] = [];
  for (const [at, word] of words.entries()) {
    if (word === '(') opened.push(at);
    const open = word === ')' ? opened.pop() : undefined;
    if (open !== undefined) pairs.push([open, at]);
  }
  return pairs;
}
