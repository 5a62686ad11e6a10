/** Makes a miss small, and prints it as SQL for psql. */
import fc from 'fast-check';
import type pg from 'pg';
import { createOracle, type Miss } from './generated.fuzz.ts';
import { literal } from './kinds.fuzz.ts';
import type { Oracle, OracleCase, OracleChange, OracleStatement } from './oracle.fuzz.ts';
import { asReader, asWriter, CREATE_ROLES, type OracleSession } from './session.fuzz.ts';
import { shrinkStatement, shrinkText } from './shrink-text.fuzz.ts';

const TIME_LIMIT_MS = 25_000;

/** Leaves the client's database as it happens to be. */
export async function shrinkMiss(client: pg.Client, miss: Miss): Promise<string> {
  const { schema, rows } = miss;
  const { session } = schema;
  let oracle = await createOracle(client, schema);
  let best = await shrinkCase(oracle, rows, miss.found);
  const { statement, change } = best;
  const rowList = await leaveOut(
    splitRows(rows),
    async (rest) => (await findMiss(oracle, rest.join(';\n'), statement, change)) !== undefined,
  );
  oracle.close();
  const ddl = await leaveOut(schema.ddl, async (rest) => {
    try {
      oracle = await createOracle(client, { ddl: rest, session });
    } catch {
      return false;
    }
    const found = await findMiss(oracle, rowList.join(';\n'), statement, change);
    oracle.close();
    if (found) best = found;
    return found !== undefined;
  });
  return printMiss([...ddl, ...(session?.settings ?? [])], rowList, best, session);
}

/** The same miss with a smaller change and statement. */
export async function shrinkCase(oracle: Oracle, rows: string, found: OracleCase): Promise<OracleCase> {
  let best = found;
  const isMissed = async (statement: OracleStatement, change: OracleChange): Promise<boolean> => {
    const miss = await findMiss(oracle, rows, statement, change);
    if (miss) best = miss;
    return miss !== undefined;
  };
  const until = performance.now() + TIME_LIMIT_MS;
  await shrinkStatement(found.statement, (statement) => isMissed(statement, found.change), until);
  const { statement } = best;
  await isMissed(statement, { ...found.change, degrade: 'none' });
  const { change } = best;
  await shrinkText(change.sql, (sql) => isMissed(statement, { ...change, sql }), performance.now() + TIME_LIMIT_MS);
  return best;
}

export async function findMiss(
  oracle: Oracle,
  rows: string,
  statement: OracleStatement,
  change: OracleChange,
): Promise<OracleCase | undefined> {
  let miss: OracleCase | undefined;
  const nothing = (): void => {};
  const events = {
    onCase: (found: OracleCase) => {
      if (found.verdict === 'miss') miss = found;
    },
    onRefused: nothing,
    onRejected: nothing,
    onUnstable: nothing,
  };
  try {
    await oracle.run({ rows, statements: [statement], changes: [change] }, events);
  } catch {
    return undefined; // the rows don't fit the schema any more
  }
  return miss;
}

/** `insert … values (1), (2)` as one statement a row; values contain no `), (`. */
function splitRows(rows: string): string[] {
  return rows.split(';\n').flatMap((insert) => {
    const at = insert.indexOf(' values (');
    if (at < 0) return [insert];
    const list = insert.slice(at + 9, -1).split('), (');
    return list.map((row) => `${insert.slice(0, at)} values (${row})`);
  });
}

/** What is needed of a list, as fast-check shrinks a part of it. */
export async function leaveOut<T>(
  list: readonly T[],
  isStillMissed: (rest: readonly T[]) => Promise<boolean>,
): Promise<readonly T[]> {
  const all = [...list.keys()];
  const pick = (places: readonly number[]): readonly T[] => places.map((at) => list[at] as T);
  const isNotMissed = fc.asyncProperty(fc.subarray(all), async (kept) => !(await isStillMissed(pick(kept))));
  const { counterexample } = await fc.check(isNotMissed, {
    examples: [[all]],
    numRuns: 1,
    interruptAfterTimeLimit: TIME_LIMIT_MS,
  });
  return pick(counterexample?.[0] ?? all);
}

export function printMiss(
  ddl: readonly string[],
  rows: readonly string[],
  found: OracleCase,
  session: OracleSession | undefined,
): string {
  const { statement, change, terms, changes } = found;
  const values = statement.parameters.map((value) => (value === null ? 'null' : literal(value)));
  const execute = `execute q${values.length > 0 ? `(${values.join(', ')})` : ''};`;
  const shown = (value: unknown): string =>
    JSON.stringify(value, (_, part) => (part instanceof Set ? [...part] : part)) ?? '';
  const comment = (text: string): string => `-- ${text.replaceAll('\n', ' ')}`;
  return [
    // What is most telling comes first: of a long report often only a part is shown.
    comment(`${statement.sql} ${shown(statement.parameters)}`),
    comment(`${change.session ?? ''} ${change.sql}`),
    'begin;',
    ...(session ? CREATE_ROLES : []).map((line) => `${line};`),
    ...ddl.map((line) => `${line};`),
    ...rows.map((line) => `${line};`),
    `${asReader(session)};`,
    `prepare q as ${statement.sql};`,
    execute,
    ...terms.map((term) =>
      comment(`read: ${term.table.name} ${shown({ columns: term.columns, predicates: term.predicates })}`),
    ),
    `${asWriter(session)};`,
    `${change.sql}; ${change.degrade === 'none' ? '' : comment(`as told by a feed with ${change.degrade}`)}`,
    ...changes.map((one) => comment(`told: ${shown({ ...one, relation: one.relation.name })}`)),
    `${[asReader(session), ...(change.session ? [change.session] : [])].join('; ')};`,
    execute,
    'rollback;',
    '',
  ].join('\n');
}
