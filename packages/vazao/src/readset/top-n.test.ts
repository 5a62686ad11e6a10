/** What the last row of a sorted and limited answer bounds. */
import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import { type Analyzer, createAnalyzer } from './analyzer.ts';
import { createBoundaryReader } from './boundary.ts';
import { describeTerm } from './describe.ts';
import { EXAMPLE_CATALOG } from './example-catalog.ts';
import { loadParser } from './parse.ts';

let analyzer: Analyzer;
before(async () => {
  await loadParser();
  analyzer = createAnalyzer(EXAMPLE_CATALOG);
});

function narrowed(sql: string, boundary: string | null | undefined, rowCount = 5, parameters: unknown[] = []): string {
  return analyzer.template(sql).narrow(parameters, { rowCount, boundary }).terms.map(describeTerm).join('; ');
}

const NARROWED: readonly (readonly [sql: string, boundary: string | null, expected: string])[] = [
  ['select k from a order by k limit 5', '7', 'a (k) where k <= 7'],
  ['select k from a order by k desc limit 5', '7', 'a (k) where k >= 7; a (k) where k is null'],
  ['select id from c order by id desc limit 5', '7', 'c (id) where id >= 7'],
  ['select id from c order by id nulls first limit 5', '7', 'c (id) where id <= 7'],
  ['select k from a order by k desc nulls last limit 5', '7', 'a (k) where k >= 7'],
  ['select k from a order by k nulls first limit 5', '7', 'a (k) where k <= 7; a (k) where k is null'],
  ['select k from a order by k nulls first limit 5', null, 'a (k) where k is null'],
  ['select k from a where k > 2 order by k desc limit 5', '7', 'a (k) where k > 2 and k >= 7'],
  ['select k from a where id = 3 order by k, t limit 5 offset 9', '7', 'a (id, k, t) where id in (3) and k <= 7'],
  ['select k from a order by k fetch first 5 rows with ties', '7', 'a (k) where k <= 7'],
  ['select * from a order by k limit 5', '7', 'a (*) where k <= 7'],
  ['select k as x from a order by x limit 5', '7', 'a (k) where k <= 7'],
  ['select t, k from a order by 2 limit 5', '7', 'a (k, t) where k <= 7'],
  ['select ts from a order by ts limit 5', '2024-01-01 00:00:00.5-03', 'a (ts) where ts <= 2024-01-01 03:00:00.500000'],
  [
    'select a.k, b.t from a left join b on b.aid = a.id order by a.k limit 5',
    '7',
    'a (id, k) where k <= 7; b (aid, t)',
  ],
  ['select a.k from b join a on b.aid = a.id order by a.k limit 5', '7', 'b (aid); a (id, k) where k <= 7'],
  [
    'select k from a where id = 1 or t = $1 order by k limit 5',
    '7',
    'a (id, k, t) where id in (1) and k <= 7; a (id, k, t) where t in (x) and k <= 7',
  ],
];

for (const [sql, boundary, expected] of NARROWED) {
  test(`bounded by ${boundary}: ${sql}`, () => assert.equal(narrowed(sql, boundary, 5, ['x']), expected));
}

const WHOLE: readonly (readonly [sql: string, why: string])[] = [
  ['select distinct k from a order by k limit 5', 'rows are united'],
  ['select k, count(*) from a group by k order by k limit 5', 'rows are counted together'],
  ['select k, sum(n) over () from a order by k limit 5', 'rows look at each other'],
  ['select t from a order by k limit 5', 'the boundary is not in the answer'],
  ['select t from a order by t limit 5', 'the order is that of a collation'],
  ['select f from a order by f limit 5', 'the text of a float may be rounded'],
  ['select k from a order by k', 'no limit'],
  ['select k from a limit 5', 'no order'],
  ['select k from a order by -k limit 5', 'not a plain column'],
  ['select -k as k from a order by k limit 5', 'the name is that of the output'],
  ['select k::text, k as x from a order by k limit 5', 'the name may be that of an output'],
  ['select g from a order by g limit 5', 'generated: the feed does not carry it'],
  ['select k from a order by k using > limit 5', 'another operator'],
  ['select k from a order by k limit 2 + 3', 'the limit is not known'],
  ['select a.k from b left join a on b.aid = a.id order by a.k limit 5', 'its absence shows'],
  ['select a.k from b full join a on b.aid = a.id order by a.k limit 5', 'its absence shows'],
  ['select (c).*, k from a order by 2 limit 5', 'the composite value has any number of fields'],
  ['select (c).*, k from a order by a.k limit 5', 'the boundary stands behind any number of fields'],
  ['select (to_pair(k)).*, k from a order by a.k limit 5', 'likewise'],
  ['(select k from a) union (select k from b) order by k limit 5', 'a set operation'],
];

for (const [sql, why] of WHOLE) {
  test(`not bounded, ${why}: ${sql}`, () => {
    assert.equal(narrowed(sql, '7'), analyzer.template(sql).bind([]).terms.map(describeTerm).join('; '));
  });
}

test('fewer rows than the limit, and boundaries that say nothing', () => {
  const sql = 'select k from a order by k limit 5';
  assert.equal(narrowed(sql, '7', 4), 'a (k)');
  assert.equal(narrowed(sql, '7', 6), 'a (k) where k <= 7');
  assert.equal(narrowed(sql, null), 'a (k)');
  assert.equal(narrowed(sql, undefined), 'a (k)');
  assert.equal(narrowed('select n from a order by n limit 5', 'NaN'), 'a (n)');
  assert.equal(narrowed('select d from a order by d limit 5', '01/02/2024'), 'a (d)');
  assert.equal(narrowed('select k from a order by k limit 0', '7', 0), 'a (k)');
  const bound = 'select k from a order by k limit $1';
  assert.equal(narrowed(bound, '7', 3, ['3']), 'a (k) where k <= 7');
  assert.equal(narrowed(bound, '7', 3, ['4']), 'a (k)');
  assert.equal(narrowed(bound, '7', 3, [null]), 'a (k)');
  assert.equal(narrowed(bound, '7', 3, [undefined]), 'a (k)');
});

test('the boundary is read before the application converts it', () => {
  const parsers = { getTypeParser: (oid: number) => (text: string) => (oid === 1 ? new Date(text) : text) };
  const read = (nullsFirst: boolean, values: readonly (string | Buffer | null)[]) => {
    const reader = createBoundaryReader({ position: 1, nullsFirst }, parsers);
    const parse = [1, 1, 1].map((oid) => reader.types.getTypeParser(oid));
    for (const value of values) {
      parse[0]('2000-01-01');
      if (value !== null) parse[1](value);
      parse[2]('2000-01-01');
    }
    return reader.read(values.length).boundary;
  };
  assert.equal(
    read(false, ['2024-01-01 00:00:00.123456+00', '2024-01-02 00:00:00.123456+00']),
    '2024-01-02 00:00:00.123456+00',
  );
  assert.equal(read(false, ['1', null]), null);
  assert.equal(read(true, [null, '1']), '1');
  assert.equal(read(true, [null, null]), null);
  assert.equal(read(false, [Buffer.from('1')]), undefined);
});
