import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { type Catalog, type Change, canonical, type Relation, type Term, touches } from '../readset/index.ts';
import { createRandom } from '../testing/random.ts';
import type { Entry } from './entry.ts';
import { TermIndex } from './term-index.ts';

type Table = Catalog['tables'][number];
type Predicate = Term['predicates'][number];

const COLUMNS = { id: 'int4', n: 'numeric', name: 'text', note: 'citext' } as const;
const names = Object.keys(COLUMNS) as (keyof typeof COLUMNS)[];
const tables = [1, 2].map(
  (oid) => ({ oid, schema: 'public', name: `t${oid}`, columns: [], uniqueKeys: [], ancestors: [] }) as unknown as Table,
);
/** The second has other columns in another order, and one is missing, as in a partition or where a column is generated. */
const relations: readonly Relation[] = [
  { oid: 1, schema: 'public', name: 't1', columns: ['id', 'n', 'name', 'note'] },
  { oid: 1, schema: 'public', name: 'part', columns: ['name', 'id', 'more'] },
];

const value = fc.constantFrom('1', '2', '3', '1.0', '01', 'a', 'b');
const raw = fc.oneof({ weight: 6, arbitrary: value }, { weight: 1, arbitrary: fc.constantFrom(null, undefined) });
const predicate: fc.Arbitrary<Predicate> = fc
  .record({ column: fc.constantFrom(...names), values: fc.array(value, { maxLength: 3 }), isRange: fc.boolean() })
  .map(({ column, values, isRange }) => {
    const type = COLUMNS[column];
    const known = values.map((one) => canonical(type, one)).filter((form) => form !== undefined);
    if (isRange && known[0] !== undefined) return { kind: 'range', column, type, operator: '>=', value: known[0] };
    if (known.length === 0 && values.length > 0) return { kind: 'not null', column };
    return { kind: 'in', column, type, values: new Set(known) };
  });
const term: fc.Arbitrary<Term> = fc
  .record({ table: fc.constantFrom(...tables), predicates: fc.array(predicate, { maxLength: 3 }), pick: fc.nat(2) })
  .map(({ table, predicates, pick }): Term => {
    const equalities = predicates.filter((one) => one.kind === 'in');
    const chosen = equalities[pick % equalities.length];
    return {
      table,
      columns: 'all',
      predicates,
      grain: 'predicate',
      coarse: undefined,
      indexBy: chosen && { column: chosen.column, type: chosen.type, values: [...chosen.values] },
    };
  });
const change: fc.Arbitrary<Change> = fc
  .record({
    relation: fc.constantFrom(...relations),
    kind: fc.constantFrom('insert', 'update', 'update without old', 'delete', 'all'),
    before: fc.array(raw, { minLength: 4, maxLength: 4 }),
    after: fc.array(raw, { minLength: 4, maxLength: 4 }),
  })
  .map(({ relation, kind, before, after }): Change => {
    switch (kind) {
      case 'insert':
        return { kind, relation, new: after };
      case 'delete':
        return { kind, relation, old: before };
      case 'all':
        return { kind, relation };
      default:
        return { kind: 'update', relation, old: kind === 'update' ? before : undefined, new: after };
    }
  });

const entryOf = (terms: readonly Term[]): Entry<null> => ({ terms }) as unknown as Entry<null>;
/** No row satisfies an equality with no value, so nothing can touch the term, whatever is not known of the change. */
const isSatisfiable = ({ indexBy }: Term): boolean => !indexBy || indexBy.values.length > 0;

test('finds exactly the entries that a scan of all terms finds', (context) => {
  const { seed } = createRandom(context);
  let found = 0;
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.array(term, { maxLength: 3 }), fc.boolean()), { maxLength: 15 }),
      fc.array(change, { maxLength: 4 }),
      (specs, changes) => {
        const index = new TermIndex<null>();
        const all = specs.map(([terms, isRemoved]) => ({ entry: entryOf(terms), isRemoved }));
        for (const { entry } of all) index.add(entry);
        for (const { entry, isRemoved } of all) if (isRemoved) index.remove(entry);
        for (const one of changes) {
          for (const { oid } of tables) {
            const expected = new Set<Entry<null>>();
            for (const { entry, isRemoved } of all) {
              const isTouched = entry.terms.some((t) => t.table.oid === oid && isSatisfiable(t) && touches(t, one));
              if (!isRemoved && isTouched) expected.add(entry);
            }
            const got = new Set<Entry<null>>();
            index.match(oid, one, (entry) => got.add(entry));
            found += got.size;
            assert.deepEqual(got, expected);
          }
        }
      },
    ),
    { seed, numRuns: 5_000 },
  );
  assert.ok(found > 1_000, 'the examples are not vacuous');
});

test('entries may be removed while they are found, and nothing is left of them', () => {
  const index = new TermIndex<null>();
  const whole: Term = {
    table: tables[0] as Table,
    columns: 'all',
    predicates: [],
    grain: 'table',
    coarse: '',
    indexBy: undefined,
  };
  const values = ['1', '2', '3'];
  const some: Term = {
    ...whole,
    predicates: [{ kind: 'in', column: 'id', type: 'int4', values: new Set(values) }],
    indexBy: { column: 'id', type: 'int4', values },
  };
  for (let n = 0; n < 100; n++) index.add(entryOf([whole, some]));
  const removed = new Set<Entry<null>>();
  const all: Change = { kind: 'all', relation: relations[0] as Relation };
  index.match(1, all, (entry) => {
    index.remove(entry);
    removed.add(entry);
  });
  assert.equal(removed.size, 100);
  index.match(1, all, () => assert.fail('nothing is left'));
});
