/**
 * The database is the oracle: a statement is run before and after a change. If its answer changed, the change must touch its
 * read set. One miss fails the test, with the smallest case that fast-check finds.
 *
 * VAZAO_ORACLE_CASES=1000000 VAZAO_SEED=7 node packages/vazao/src/readset/oracle/oracle.test.ts
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type pg from 'pg';
import { loadCatalog } from '../../db/load-catalog.ts';
import { createTestDatabase } from '../../testing/database.ts';
import { type Analyzer, createAnalyzer } from '../analyzer.ts';
import type { Catalog } from '../catalog.ts';
import { loadParser } from '../parse.ts';
import type { Term } from '../read-set.ts';
import { touches } from '../touches.ts';
import { drawWrite, runWrite } from './changes.fuzz.ts';
import { createChoices } from './choices.fuzz.ts';
import { createRows, SCHEMA } from './schema.fuzz.ts';
import { drawStatement, type OracleStatement } from './statements.fuzz.ts';

const CASES = Number(process.env.VAZAO_ORACLE_CASES ?? 4_000);
const SEED = Number(process.env.VAZAO_SEED ?? Math.floor(Math.random() * 2 ** 31));
/** Changes tried with each statement; each is a case. */
const WRITES = 6;
const TAPE_LENGTH = 160;
/** The feed speaks UTC; statements run in any zone. */
const STATEMENT_ZONE = 'America/Sao_Paulo';

interface Tally {
  unchanged: number;
  touched: number;
  changed: number;
}

test(`no change of an answer is missed (seed ${SEED})`, { timeout: Number.POSITIVE_INFINITY }, async () => {
  await using database = await createTestDatabase();
  await database.pool.query(SCHEMA);
  await loadParser();
  const client = await database.client();
  await client.query(`set extra_float_digits = 3`);
  const catalog = await loadCatalog(client, { publication: 'vazao_oracle' });
  const analyzer = createAnalyzer(catalog, { templatesMax: 100 });
  const tallies = new Map<string, Tally>();
  const counts = { cases: 0, changed: 0, rejected: 0, refused: new Map<string, number>() };

  const tape = (length: number): fc.Arbitrary<number[]> =>
    fc.array(fc.nat(2 ** 16), { minLength: length, maxLength: length });
  const property = fc.asyncProperty(
    tape(60),
    tape(TAPE_LENGTH),
    fc.array(tape(20), { minLength: WRITES, maxLength: WRITES }),
    async (rows, statement, writes) => {
      await runCase({ client, catalog, analyzer, tallies, counts }, rows, statement, writes);
    },
  );
  const started = performance.now();
  await fc.assert(property, { seed: SEED, numRuns: Math.ceil(CASES / WRITES), endOnFailure: false });
  report(tallies, counts, performance.now() - started);
  assert.ok(counts.changed > counts.cases / 50, 'the cases are worth something: answers change');
});

interface Run {
  readonly client: pg.Client;
  readonly catalog: Catalog;
  readonly analyzer: Analyzer;
  readonly tallies: Map<string, Tally>;
  readonly counts: { cases: number; changed: number; rejected: number; readonly refused: Map<string, number> };
}

async function runCase(
  run: Run,
  rowTape: readonly number[],
  statementTape: readonly number[],
  writeTapes: readonly (readonly number[])[],
): Promise<void> {
  const { client, counts } = run;
  const statement = drawStatement(createChoices(statementTape));
  await client.query('begin');
  try {
    await client.query(createRows(createChoices(rowTape)).join(';'));
    await client.query(`set local timezone = '${STATEMENT_ZONE}'; savepoint base`);
    const before = await answer(client, statement);
    if (before === undefined) {
      counts.rejected += WRITES;
      return;
    }
    const template = run.analyzer.template(statement.sql);
    if (template.refusal) {
      counts.refused.set(template.refusal.code, (counts.refused.get(template.refusal.code) ?? 0) + 1);
      return;
    }
    const { terms } = template.bind(statement.parameters);
    for (const writeTape of writeTapes) await tryWrite(run, statement, before, terms, writeTape);
  } finally {
    await client.query('rollback');
  }
}

async function tryWrite(
  run: Run,
  statement: OracleStatement,
  before: string,
  terms: readonly Term[],
  tape: readonly number[],
): Promise<void> {
  const { client, counts } = run;
  const choices = createChoices(tape);
  const degrade = choices.pick(['none', 'none', 'none', 'none', 'no old row', 'unknown value'] as const);
  const write = drawWrite(choices, new Set(terms.map((term) => term.table.name)));
  await client.query(`rollback to base; set local timezone = 'UTC'`);
  const changes = await runWrite(client, write, run.catalog, degrade).catch(() => undefined);
  if (!changes) return; // a duplicate key and the like
  await client.query(`set local timezone = '${STATEMENT_ZONE}'`);
  const after = await answer(client, statement);
  if (after === undefined) return;
  const ancestors = new Map(run.catalog.tables.map((table) => [table.oid, table.ancestors]));
  const isTouched = changes.some((change) =>
    terms.some(
      (term) =>
        (term.table.oid === change.relation.oid || ancestors.get(change.relation.oid)?.includes(term.table.oid)) &&
        touches(term, change),
    ),
  );
  counts.cases++;
  const tally = run.tallies.get(statement.kind) ?? { unchanged: 0, touched: 0, changed: 0 };
  run.tallies.set(statement.kind, tally);
  if (before !== after) {
    counts.changed++;
    tally.changed++;
    assert.ok(
      isTouched,
      `${statement.sql}\n  with ${JSON.stringify(statement.parameters)}\n  missed: ${write.sql}\n  ${JSON.stringify(changes)}\n  read set: ${describe(terms)}\n  before ${before}\n  after ${after}`,
    );
  } else if (changes.length > 0) {
    tally.unchanged++;
    if (isTouched) tally.touched++;
  }
}

/** The rows in a stable order; undefined if PostgreSQL rejects the statement. */
async function answer(client: pg.Client, statement: OracleStatement): Promise<string | undefined> {
  try {
    const { rows } = await client.query<unknown[]>({
      text: statement.sql,
      values: [...statement.parameters],
      rowMode: 'array',
      types: { getTypeParser: () => (text: string) => text },
    });
    return rows
      .map((row) => JSON.stringify(row))
      .sort()
      .join('\n');
  } catch {
    await client.query('rollback to base');
    return undefined;
  }
}

function describe(terms: readonly Term[]): string {
  return terms
    .map(
      (term) =>
        `${term.table.name}[${term.columns === 'all' ? '*' : [...term.columns]}]{${term.predicates.map((predicate) => JSON.stringify(predicate, (_, value) => (value instanceof Set ? [...value] : value)))}}`,
    )
    .join('; ');
}

function report(tallies: ReadonlyMap<string, Tally>, counts: Run['counts'], elapsedMs: number): void {
  console.log(
    `seed ${SEED}: ${counts.cases} cases in ${(elapsedMs / 1000).toFixed(1)} s, ${counts.changed} answers changed, ${counts.rejected} rejected by PostgreSQL, refused: ${JSON.stringify(Object.fromEntries(counts.refused))}`,
  );
  const lines = [...tallies].sort(([, a], [, b]) => b.unchanged + b.changed - a.unchanged - a.changed).slice(0, 30);
  for (const [kind, { unchanged, touched, changed }] of lines) {
    console.log(
      `  ${kind}: ${unchanged + changed} cases, ${changed} changed, false alarms ${unchanged === 0 ? '-' : `${((100 * touched) / unchanged).toFixed(1)} %`}`,
    );
  }
}
