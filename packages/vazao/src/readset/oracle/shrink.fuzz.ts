/** Makes a miss small, and prints it as SQL for psql. */
import fc from 'fast-check';
import type pg from 'pg';
import { drawChange } from './changes.fuzz.ts';
import { createChoices } from './choices.fuzz.ts';
import { createOracle, drawOne, type Miss } from './generated.fuzz.ts';
import { literal } from './kinds.fuzz.ts';
import type { Oracle, OracleCase, OracleChange, OracleStatement } from './oracle.fuzz.ts';

const TIME_LIMIT_MS = 25_000;

/** Leaves the client's database as it happens to be. */
export async function shrinkMiss(client: pg.Client, miss: Miss): Promise<string> {
  const { schema, focus, rows, isShape } = miss.tapes;
  let best = miss.found;
  let oracle = await createOracle(client, schema.ddl);
  // First the statement and the change, by their tapes: smaller numbers are simpler cases.
  const tape = fc.array(fc.nat(2 ** 24), { minLength: 0, maxLength: 400 });
  const until = performance.now() + TIME_LIMIT_MS;
  const property = fc.asyncProperty(tape, tape, async (statementTape, changeTape) => {
    if (performance.now() > until) return true; // ends the search, with none of it still running
    const statement = drawOne(schema, focus, isShape, statementTape);
    const change = drawChange(schema, new Set(focus), createChoices(changeTape));
    const found = await findMiss(oracle, rows, statement, change);
    if (found) best = found;
    return found === undefined;
  });
  await fc.check(property, {
    seed: 1,
    numRuns: 1,
    examples: [[[...miss.tapes.statement], [...miss.tapes.change]]],
  });
  oracle.close();
  // Then rows and definitions, by leaving out.
  const { statement, change } = best;
  let rowList = splitRows(rows);
  oracle = await createOracle(client, schema.ddl);
  rowList = await leaveOut(
    rowList,
    async (rest) => (await findMiss(oracle, rest.join(';\n'), statement, change)) !== undefined,
  );
  oracle.close();
  const ddl = await leaveOut(schema.ddl, async (rest) => {
    try {
      oracle = await createOracle(client, rest);
    } catch {
      return false;
    }
    const found = await findMiss(oracle, rowList.join(';\n'), statement, change);
    oracle.close();
    if (found) best = found;
    return found !== undefined;
  });
  return printMiss(ddl, rowList, best);
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

/** Leaves out halves, quarters … single members, as long as the miss stays. */
export async function leaveOut<T>(
  list: readonly T[],
  isStillMissed: (rest: readonly T[]) => Promise<boolean>,
): Promise<T[]> {
  let rest = [...list];
  const until = performance.now() + TIME_LIMIT_MS;
  for (let size = Math.ceil(rest.length / 2); size >= 1; size = size === 1 ? 0 : Math.ceil(size / 2)) {
    for (let at = rest.length - size; at > -size && performance.now() < until; at -= size) {
      const from = Math.max(at, 0);
      const without = [...rest.slice(0, from), ...rest.slice(from + size)];
      if (without.length < rest.length && (await isStillMissed(without))) rest = without;
    }
  }
  return rest;
}

export function printMiss(ddl: readonly string[], rows: readonly string[], found: OracleCase): string {
  const { statement, change, terms, changes } = found;
  const values = statement.parameters.map((value) => (value === null ? 'null' : literal(value)));
  const execute = `execute q${values.length > 0 ? `(${values.join(', ')})` : ''};`;
  const shown = (value: unknown): string =>
    JSON.stringify(value, (_, part) => (part instanceof Set ? [...part] : part)) ?? '';
  const comment = (text: string): string => `-- ${text.replaceAll('\n', ' ')}`;
  return [
    'begin;',
    ...ddl.map((line) => `${line};`),
    ...rows.map((line) => `${line};`),
    `set local timezone = 'America/Sao_Paulo';`,
    `prepare q as ${statement.sql};`,
    execute,
    ...terms.map((term) =>
      comment(`read: ${term.table.name} ${shown({ columns: term.columns, predicates: term.predicates })}`),
    ),
    `${change.sql}; ${change.degrade === 'none' ? '' : comment(`as told by a feed with ${change.degrade}`)}`,
    ...changes.map((one) => comment(`told: ${shown({ ...one, relation: one.relation.name })}`)),
    execute,
    'rollback;',
    '',
  ].join('\n');
}
