import assert from 'node:assert/strict';
import { test } from 'node:test';
import { planPublication } from './publication-plan.ts';
import type { TableRow } from './sql/find-tables.ts';

const ALL = { schemas: undefined, tables: undefined };
let nextOid = 1;

function table(name: string, changes: Partial<TableRow> = {}): TableRow {
  return {
    oid: nextOid++,
    schema: 'public',
    name,
    kind: 'ordinary',
    permanent: true,
    identity: 'default',
    identityUsable: true,
    hasPrimaryKey: true,
    hasVirtualColumn: false,
    parentOid: null,
    owned: true,
    membership: null,
    filtered: false,
    ...changes,
  };
}

function plan(rows: TableRow[], selection: Parameters<typeof planPublication>[1] = ALL): Record<string, string[]> {
  const { drop, add, published, leftOut } = planPublication(rows, selection);
  const names = (list: readonly TableRow[]): string[] => list.map((row) => row.name);
  return {
    drop: names(drop),
    add: names(add),
    published: names(published),
    leftOut: leftOut.map(({ table, reason }) => `${table}: ${reason}`),
  };
}

test('a table that would make its own updates fail is never in the publication', () => {
  assert.deepEqual(
    plan([
      table('a', { identityUsable: false, membership: '1' }),
      table('b', { permanent: false }),
      table('c', { identity: 'full', hasVirtualColumn: true, membership: '2' }),
    ]),
    {
      drop: ['a', 'c'],
      add: [],
      published: [],
      leftOut: ['public.a: no replica identity', 'public.b: unlogged', 'public.c: virtual generated column'],
    },
  );
});

test('a table of another owner stays where it is', () => {
  assert.deepEqual(plan([table('a', { owned: false }), table('b', { owned: false, membership: '1' })]), {
    drop: [],
    add: [],
    published: ['b'],
    leftOut: ['public.a: not owned'],
  });
  assert.deepEqual(plan([table('a', { owned: false, membership: '1', filtered: true })]).leftOut, [
    'public.a: not owned',
  ]);
});

test('an entry with a filter is replaced', () => {
  const { drop, add, published } = plan([table('a', { membership: '1', filtered: true })]);
  assert.deepEqual([drop, add, published], [['a'], ['a'], ['a']]);
});

test('a partitioned table with a key is named alone; with a partition that does harm, its good partitions are', () => {
  const root = table('root', { kind: 'partitioned', membership: '1' });
  const sub = table('sub', { kind: 'partitioned', parentOid: root.oid });
  const good = table('good', { parentOid: root.oid });
  const deep = table('deep', { parentOid: sub.oid });
  assert.deepEqual(plan([root, sub, good, deep]), {
    drop: [],
    add: [],
    published: ['root', 'sub', 'deep', 'good'],
    leftOut: [],
  });
  const bad = table('bad', { parentOid: root.oid, identityUsable: false });
  assert.deepEqual(plan([root, sub, good, deep, bad]), {
    drop: ['root'],
    add: ['sub', 'good'],
    published: ['sub', 'deep', 'good'],
    leftOut: ['public.bad: no replica identity'],
  });
  const foreign = table('foreign', { kind: 'foreign', parentOid: root.oid });
  assert.deepEqual(plan([root, good, foreign]).published, ['good']);
});

test('a partitioned table without a key binds no later partition, so its partitions are named', () => {
  const root = table('root', { kind: 'partitioned', hasPrimaryKey: false, identityUsable: false });
  const one = table('one', { parentOid: root.oid, identity: 'full' });
  assert.deepEqual(plan([root, one]), { drop: [], add: ['one'], published: ['one', 'root'], leftOut: [] });
});

test('a selection adds, and takes out nothing that another feed may need', () => {
  const rows = [table('a'), table('b', { membership: '1' }), table('c', { schema: 'other' })];
  assert.deepEqual(plan(rows, { schemas: new Set(['public']), tables: new Set(['public.a']) }), {
    drop: [],
    add: ['a'],
    published: ['a'],
    leftOut: [],
  });
  assert.deepEqual(plan(rows, { schemas: new Set(['other']), tables: undefined }).add, ['c']);
});
