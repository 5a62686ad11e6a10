/** Tags are sound: whatever touches a term, by the rule that memory goes by, has a tag of it. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  type CatalogColumn,
  type CatalogTable,
  type Change,
  canonical,
  type Predicate,
  type Relation,
  type Term,
  touches,
  type Values,
} from '../../readset/index.ts';
import { createRandom, type Random } from '../../testing/random.ts';
import { COMMIT_TAGS_MAX, ENTRY_TAGS_MAX, type FindTable, tagsOfCommit, tagsOfTerms } from './tags.ts';

const TYPES = ['int4', 'numeric', 'text', 'bool', 'timestamptz', 'jsonb', 'other', '_int4'] as const;
const VALUES: Readonly<Record<(typeof TYPES)[number], readonly string[]>> = {
  int4: ['1', '2', '-3'],
  numeric: ['1', '1.0', '1.00', '2.5', 'NaN'],
  text: ['a', 'A', ' a', '', 'a\u0000b'.replace('\u0000', '|')],
  bool: ['t', 'f', 'true', 'no'],
  timestamptz: ['2026-11-01 00:00:00+00', '2026-10-31 21:00:00-03', '2026-11-02 00:00:00+00'],
  jsonb: ['{"a": 1}', '{"a": 1.0}', '[]'],
  other: ['x', 'y'],
  _int4: ['{1,2}', '{1, 2}', '{}'],
};

const column = (name: string, type: string): CatalogColumn => ({ name, type, deterministic: true, generated: false });
const COLUMNS = TYPES.map((type) => column(`c_${type}`, type));
const table = (oid: number, ancestors: readonly number[]): CatalogTable => ({
  oid,
  schema: 'public',
  name: `t${oid}`,
  kind: 'table',
  // A descendant has its columns in another order, and one of its own.
  columns: ancestors.length > 0 ? [column('own', 'int4'), ...COLUMNS.toReversed()] : COLUMNS,
  definition: undefined,
  invisible: undefined,
  uniqueKeys: [],
  ancestors,
});
const TABLES = [table(1, []), table(2, [1]), table(3, [2, 1]), table(4, [])];
const findTable: FindTable = (oid) => TABLES.find((one) => one.oid === oid);

function drawTerm(random: Random): Term {
  const predicates: Predicate[] = [];
  let indexBy: Term['indexBy'];
  for (const { name, type } of COLUMNS) {
    const choice = random.next();
    const pool = VALUES[type as (typeof TYPES)[number]];
    const drawn = [random.pick(pool), random.pick(pool)].map((value) => canonical(type, value));
    if (choice < 0.3 && !drawn.includes(undefined)) {
      const values = new Set(random.next() < 0.05 ? [] : (drawn as string[]));
      predicates.push({ kind: 'in', column: name, type, values });
      indexBy ??= { column: name, type, values: [...values] };
    } else if (choice < 0.4) predicates.push({ kind: 'not null', column: name });
    else if (choice < 0.45) predicates.push({ kind: 'null', column: name });
  }
  if (random.next() < 0.3) indexBy = undefined;
  const columns = random.next() < 0.5 ? ('all' as const) : new Set([random.pick(COLUMNS).name]);
  return { table: random.pick(TABLES), columns, predicates, grain: 'predicate', coarse: undefined, indexBy };
}

function drawChange(random: Random): Change {
  const { oid, columns } = random.pick(TABLES);
  const shown = columns.filter(() => random.next() < 0.9);
  const relation: Relation = { oid, schema: 'public', name: `t${oid}`, columns: shown.map(({ name }) => name) };
  const row = (): Values =>
    shown.map(({ type }) => {
      const choice = random.next();
      return choice < 0.1 ? null : choice < 0.2 ? undefined : random.pick(VALUES[type as (typeof TYPES)[number]]);
    });
  const kind = random.pick(['insert', 'update', 'update', 'delete', 'all'] as const);
  if (kind === 'all') return { kind, relation };
  if (kind === 'insert') return { kind, relation, new: row() };
  if (kind === 'delete') return { kind, relation, old: row() };
  return { kind, relation, old: random.next() < 0.2 ? undefined : row(), new: row() };
}

test('a change that touches a term has a tag of it', (context) => {
  const random = createRandom(context);
  let touched = 0;
  let spared = 0;
  for (let round = 0; round < 50_000; round++) {
    const term = drawTerm(random);
    const change = drawChange(random);
    const tags = tagsOfCommit({ changes: [change] }, findTable) as Set<string>;
    const has = tagsOfTerms([term])?.some((tag) => tags.has(tag));
    const lineage = [change.relation.oid, ...(findTable(change.relation.oid)?.ancestors ?? [])];
    if (lineage.includes(term.table.oid) && touches(term, change)) {
      touched++;
      assert.ok(has, JSON.stringify({ term: { ...term, table: term.table.oid }, change }));
    } else if (!has) spared++;
  }
  assert.ok(touched > 5_000 && spared > 5_000, `${touched} touched, ${spared} spared`);
});

test('a commit with very many values touches its tables as wholes', () => {
  const relation: Relation = { oid: 3, schema: 'public', name: 't3', columns: ['own', 'c_int4'] };
  const changes = Array.from(
    { length: COMMIT_TAGS_MAX },
    (_, n): Change => ({
      kind: 'insert',
      relation,
      new: [String(n), String(n)],
    }),
  );
  const tags = tagsOfCommit({ changes }, findTable) as Set<string>;
  assert.equal(tags.size, 3);
  const pinned = { column: 'c_int4', type: 'int4', values: ['7'] };
  for (const one of TABLES) {
    const term: Term = {
      table: one,
      columns: 'all',
      predicates: [],
      grain: 'predicate',
      coarse: undefined,
      indexBy: pinned,
    };
    assert.equal(
      tagsOfTerms([term])?.some((tag) => tags.has(tag)),
      one.oid !== 4,
      `table ${one.oid}`,
    );
  }
});

test('an answer with very many values is found by its tables, and one with very many tables is not shared', () => {
  const values = Array.from({ length: 1_000 }, (_, n) => String(n));
  const many: Term = {
    table: TABLES[3] as CatalogTable,
    columns: 'all',
    predicates: [{ kind: 'in', column: 'c_int4', type: 'int4', values: new Set(values) }],
    grain: 'predicate',
    coarse: undefined,
    indexBy: { column: 'c_int4', type: 'int4', values },
  };
  assert.equal(tagsOfTerms([many])?.length, 2);
  const relation: Relation = { oid: 4, schema: 'public', name: 't4', columns: ['c_int4'] };
  const tags = tagsOfCommit({ changes: [{ kind: 'insert', relation, new: ['7'] }] }, findTable) as Set<string>;
  assert.ok(tagsOfTerms([many])?.some((tag) => tags.has(tag)));
  const wide = Array.from({ length: ENTRY_TAGS_MAX }, (_, n): Term => ({ ...many, table: table(100 + n, []) }));
  assert.equal(tagsOfTerms(wide), undefined);
});

test('a change of a table that is not known, or of a part of one, has no tags', () => {
  const relation: Relation = { oid: 99, schema: 'public', name: 'new', columns: [] };
  assert.equal(tagsOfCommit({ changes: [{ kind: 'all', relation }] }, findTable), undefined);
  const orphan: FindTable = (oid) => (oid === 99 ? { columns: [], ancestors: [98] } : undefined);
  assert.equal(tagsOfCommit({ changes: [{ kind: 'all', relation }] }, orphan), undefined);
});
