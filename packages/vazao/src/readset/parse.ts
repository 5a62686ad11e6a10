/**
 * PostgreSQL's own parser, compiled to WebAssembly. V8 reserves 8 GiB of address space for it, of which some 5 MiB become
 * resident, so there is one in each process; and for a moment another, in the thread that reads a long statement.
 */
import { loadModule, parseSync } from 'libpg-query';
import { asKind, asList, isTree, type Tree } from './ast.ts';
import type { Finding, RefusalCode } from './refusal.ts';
import { scanTokens } from './scan-tokens.ts';

/** To be understood whole. */
export const STATEMENT_BYTES_MAX: number = 64 * 1024;
/** To be asked which tables it names: as much as costs the event loop some ten milliseconds. */
export const LONG_STATEMENT_BYTES_MAX: number = 256 * 1024;
/** To be understood whole. */
const OPERATORS_MAX = 2_500;
/** Deeper trees bring the parser's own recursion to its stack's end. It allows some 2,400 brackets, and chains of 3,000. */
const NESTED_MAX = 1_500;
const REMEDY = 'pass long lists as an array parameter, or split the statement.';

let loading: Promise<void> | undefined;
/** It ended by itself, and its memory is as it was then: what it says after that is worth nothing. */
let isBroken = false;

/** Loads the parser; once per process. It must have been awaited before the first statement is analysed. */
export function loadParser(): Promise<void> {
  // The first statement compiles what it needs of the parser, for some 15 ms: better now than in a request.
  loading ??= loadModule().then(() => void parseSync('SELECT 1'));
  return loading;
}

export type Parsed =
  | { readonly select: Tree; readonly finding: undefined }
  | { readonly select: undefined; readonly finding: Finding };

/**
 * Parses one statement. Anything but a single SELECT (VALUES, TABLE) is answered with the reason.
 *
 * @param bytesMax - more than {@link STATEMENT_BYTES_MAX} for one that is asked for its tables alone
 */
export function parseStatement(text: string, bytesMax: number = STATEMENT_BYTES_MAX): Parsed {
  const isLong = bytesMax > STATEMENT_BYTES_MAX;
  if (Buffer.byteLength(text) > bytesMax) {
    return refuse(
      'too-complex',
      `The statement is longer than ${bytesMax / 1024} KiB, also without what repeats in it; ${REMEDY}`,
    );
  }
  const hasFew = countOperators(text) <= OPERATORS_MAX || countOperators(withoutLiterals(text)) <= OPERATORS_MAX;
  if (!hasFew && !isLong)
    return refuse('too-complex', `The statement has more than ${OPERATORS_MAX} operators; ${REMEDY}`);
  if (isDeep(text)) return refuse('too-complex', 'The statement is nested too deeply.');
  let result: unknown;
  try {
    result = parse(text);
  } catch (error) {
    if (isBroken)
      return refuse('unsupported', 'The parser ended by itself at a statement before this; start the process again.');
    const message = error instanceof Error ? error.message : String(error);
    if (/memory exhausted|stack/.test(message)) return refuse('too-complex', 'The statement is nested too deeply.');
    return refuse('syntax', `PostgreSQL's parser says: ${message.replace(/\.$/, '')}.`);
  }
  const statements = isTree(result) ? asList(result.stmts) : [];
  const kinds = statements.map((statement) =>
    isTree(statement) && isTree(statement.stmt) ? (Object.keys(statement.stmt)[0] ?? '') : '',
  );
  const [first] = statements;
  const select = isTree(first) ? asKind(first.stmt, 'SelectStmt') : undefined;
  if (statements.length === 1 && select) return { select, finding: undefined };
  // Of several statements the one that changes the session says most: the pool has to know.
  const codes = kinds.map(codeOf);
  const code = codes.find((code) => code === 'session-setting') ?? codes.find((code) => code === 'transaction');
  if (code === 'session-setting')
    return refuse(code, 'The statement changes the session; set it when the pool connects instead.');
  if (code === 'transaction')
    return refuse(code, 'The statement controls a transaction; a cached read runs in a transaction of its own.');
  if (statements.length !== 1)
    return refuse('not-one-statement', `The text holds ${statements.length} statements; send each by itself.`);
  if (codes[0] === 'write') return refuse('write', 'The statement writes; write outside of cached reads.');
  return refuse('command', `The statement is no SELECT (${kinds[0]}); run it outside of cached reads.`);
}

/** The tree of the one statement that the text holds; undefined for several, or none that can be parsed. */
export function parseTree(text: string): unknown {
  if (isDeep(text)) return undefined;
  try {
    const result = parse(text);
    const [first, ...others] = isTree(result) ? asList(result.stmts) : [];
    return isTree(first) && others.length === 0 ? first.stmt : undefined;
  } catch {
    return undefined;
  }
}

function parse(text: string): unknown {
  if (isBroken) throw new Error('The parser is broken.');
  try {
    return parseSync(text);
  } catch (error) {
    isBroken = error instanceof RangeError || (error instanceof Error && error.name === 'RuntimeError');
    throw error;
  }
}

/** Of selects and tables: a list within one of them does not end it. */
const JOINING = /^(?:union|except|intersect|join)$/i;

/** Each character, since `+-+-1` is four operators. */
function countOperators(text: string): number {
  return text.match(/[-+*/<>=~!@#%^&|`?]|::|\b(?:union|except|intersect|join|collate|is|not|at)\b/gi)?.length ?? 0;
}

function isDeep(text: string): boolean {
  const brackets = text.match(/[([]|\bcase\b/gi)?.length ?? 0;
  return 2 * brackets + countOperators(text) > NESTED_MAX && findDepth(text) > NESTED_MAX;
}

/**
 * How many operators and brackets, which count twice, lie within one another at most: those of two members of a list do not, nor of two
 * terms of AND, which the parser makes a list. Infinite where brackets don't match, or can't be seen.
 */
function findDepth(text: string): number {
  const tokens = scanTokens(text);
  if (!tokens) return Number.POSITIVE_INFINITY;
  // CASE is a bracket, too, but its END can't be told from a name; so terms within it are not told from those around it.
  const hasCase = tokens.texts.some((word) => /^case$/i.test(word));
  const kinds = tokens.texts.map((word) => ({
    operators: word.startsWith('"') ? 0 : /^case$/i.test(word) ? 2 : countOperators(word),
    isJoining: JOINING.test(word),
    opens: word === '(' || word === '[',
    closes: word === ')' || word === ']',
    separates: word === ',' || (!hasCase && /^(?:and|or)$/i.test(word)),
  }));
  /** Of the brackets around; of each those that end with the member of a list, and those that don't. */
  const outer: { nested: number; member: number }[] = [];
  let nested = 0;
  let member = 0;
  let most = 0;
  for (const word of tokens.words) {
    const kind = kinds[word];
    if (!kind) continue;
    if (kind.opens) {
      outer.push({ nested, member });
      nested += member + 2;
      member = 0;
    } else if (kind.closes) {
      const before = outer.pop();
      if (!before) return Number.POSITIVE_INFINITY;
      ({ nested, member } = before);
    } else if (kind.separates) member = 0;
    else if (kind.isJoining) nested++;
    else member += kind.operators;
    most = Math.max(most, nested + member);
  }
  return most;
}

/** Only where it is surely known what a literal is: neither comments, nor backslashes, nor other quotes than the plain ones. */
function withoutLiterals(text: string): string {
  return /\\|--|\/\*|\$(?!\d)/.test(text) ? text : text.replaceAll(/'[^']*'|"[^"]*"/g, "''");
}

function refuse(code: RefusalCode, detail: string): Parsed {
  return { select: undefined, finding: { code, detail, impure: true } };
}

const CODES: Readonly<Record<string, RefusalCode>> = {
  TransactionStmt: 'transaction',
  ConstraintsSetStmt: 'transaction',
  VariableSetStmt: 'session-setting',
  DiscardStmt: 'session-setting',
  ListenStmt: 'session-setting',
  UnlistenStmt: 'session-setting',
  PrepareStmt: 'session-setting',
  DeallocateStmt: 'session-setting',
  DeclareCursorStmt: 'session-setting',
  LoadStmt: 'session-setting',
  InsertStmt: 'write',
  UpdateStmt: 'write',
  DeleteStmt: 'write',
  MergeStmt: 'write',
  CopyStmt: 'write',
  TruncateStmt: 'write',
};

function codeOf(kind: string): RefusalCode {
  return Object.hasOwn(CODES, kind) ? (CODES[kind] as RefusalCode) : 'command';
}
