import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { CatalogTable } from './catalog.ts';
import type { Change, Relation, Values } from './change.ts';
import type { Predicate, Term } from './read-set.ts';
import { touches } from './touches.ts';

const table: CatalogTable = {
  oid: 1,
  schema: 'public',
  name: 'a',
  kind: 'table',
  columns: [],
  definition: undefined,
  invisible: undefined,
  uniqueKeys: [],
  ancestors: [],
};
const relation: Relation = { oid: 1, schema: 'public', name: 'a', columns: ['id', 'k', 't'] };

function term(columns: readonly string[] | 'all', ...predicates: Predicate[]): Term {
  return {
    table,
    columns: columns === 'all' ? 'all' : new Set(columns),
    predicates,
    grain: 'predicate',
    coarse: undefined,
    indexBy: undefined,
  };
}
const isOne = (column: string): Predicate => ({ kind: 'in', column, type: 'int4', values: new Set(['1']) });
const insert = (...row: Values): Change => ({ kind: 'insert', relation, new: row });
const remove = (...row: Values): Change => ({ kind: 'delete', relation, old: row });
const update = (old: Values | undefined, row: Values): Change => ({ kind: 'update', relation, old, new: row });

test('a row that fails a predicate does not touch, one that may satisfy it does', () => {
  const one = term('all', isOne('id'));
  assert.equal(touches(one, insert('1', '5', 'x')), true);
  assert.equal(touches(one, insert('2', '5', 'x')), false);
  assert.equal(touches(one, insert(null, '5', 'x')), false);
  assert.equal(touches(one, insert(undefined, '5', 'x')), true);
  assert.equal(touches(one, insert('NaN', '5', 'x')), true, 'a value without canonical form');
  assert.equal(touches(one, remove('1', '5', 'x')), true);
  assert.equal(touches(one, remove('2', undefined, undefined)), false);
  assert.equal(touches(one, { kind: 'all', relation }), true);
  assert.equal(touches(term('all', isOne('unpublished')), insert('1', '5', 'x')), true);
  assert.equal(
    touches(term('all', { kind: 'in', column: 'id', type: 'int4', values: new Set() }), insert('1', '5', 'x')),
    false,
  );
});

test('an update counts by its old or its new row', () => {
  const one = term('all', isOne('id'));
  assert.equal(touches(one, update(['1', '5', 'x'], ['2', '5', 'x'])), true);
  assert.equal(touches(one, update(['2', '5', 'x'], ['1', '5', 'x'])), true);
  assert.equal(touches(one, update(['2', '5', 'x'], ['3', '5', 'x'])), false);
  assert.equal(touches(one, update(undefined, ['3', '5', 'x'])), true, 'the old row may have satisfied it');
  const both = term('all', isOne('id'), isOne('k'));
  assert.equal(touches(both, update(['1', '2', 'x'], ['2', '1', 'x'])), false, 'neither row satisfies all');
});

test('an update of columns that are not read does not touch', () => {
  const one = term(['id', 'k'], isOne('id'));
  assert.equal(touches(one, update(['1', '5', 'x'], ['1', '5', 'y'])), false);
  assert.equal(touches(one, update(['1', '5', 'x'], ['1', '6', 'x'])), true);
  assert.equal(touches(one, update(['1', null, 'x'], ['1', null, 'y'])), false);
  assert.equal(touches(one, update(['1', null, 'x'], ['1', '', 'x'])), true);
  assert.equal(touches(one, update(['1', undefined, 'x'], ['1', '5', 'x'])), true);
  assert.equal(touches(one, update(['1', '5', 'x'], ['1', undefined, 'x'])), true);
  assert.equal(touches(term('all', isOne('id')), update(['1', '5', 'x'], ['1', '5', 'x'])), false);
  assert.equal(touches(term('all', isOne('id')), update(['1', '5', 'x'], ['1', '5', 'y'])), true);
  assert.equal(touches(term([]), update(['1', '5', 'x'], ['2', '6', 'y'])), false, 'only existence is read');
  assert.equal(touches(term(['unpublished']), update(['1', '5', 'x'], ['1', '5', 'x'])), true);
});

test('null tests and ranges', () => {
  const isNull = term('all', { kind: 'null', column: 'k' });
  assert.equal(touches(isNull, insert('1', null, 'x')), true);
  assert.equal(touches(isNull, insert('1', '5', 'x')), false);
  assert.equal(touches(term('all', { kind: 'not null', column: 'k' }), insert('1', null, 'x')), false);
  const expected = {
    '<': [true, false, false],
    '<=': [true, true, false],
    '>': [false, false, true],
    '>=': [false, true, true],
  } as const;
  for (const [operator, results] of Object.entries(expected)) {
    const range = term('all', { kind: 'range', column: 'k', type: 'int4', operator: operator as '<', value: '10' });
    for (const [at, value] of ['9', '10', '11'].entries())
      assert.equal(touches(range, insert('1', value, 'x')), results[at], `${value} ${operator} 10`);
    assert.equal(touches(range, insert('1', null, 'x')), false);
    assert.equal(touches(range, insert('1', 'NaN', 'x')), true);
  }
});

test('a descendant with another order of columns is matched by name', () => {
  const child: Relation = { oid: 2, schema: 'public', name: 'child', columns: ['more', 'k', 'id'] };
  assert.equal(touches(term('all', isOne('id')), { kind: 'insert', relation: child, new: ['9', '9', '1'] }), true);
  assert.equal(touches(term('all', isOne('id')), { kind: 'insert', relation: child, new: ['1', '1', '9'] }), false);
});

test('an equality with no value is satisfied by nothing, whatever is not known of the row', () => {
  const none = { ...term('all', { kind: 'in', column: 'id', type: 'int4', values: new Set() }) };
  const indexed: Term = { ...none, indexBy: { column: 'id', type: 'int4', values: [] } };
  assert.equal(touches(indexed, update(undefined, [undefined, '5', 'x'])), false);
});
