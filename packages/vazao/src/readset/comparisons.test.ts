/** What conditions on columns of the less frequent types say. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createAnalyzer } from './analyzer.ts';
import type { CatalogOperator } from './catalog.ts';
import { check } from './check-read-sets.ts';
import { describeTerm } from './describe.ts';
import { EXAMPLE_CATALOG } from './example-catalog.ts';

check('float4, interval, jsonb, pg_lsn', [
  ["select id from kinds where f = '1.5'", 'kinds (f, id) where f in (1.5)'],
  ['select id from kinds where f = $1', 'kinds (f, id) where f in (1.5)', ['1.50']],
  ['select id from kinds where f = $1::float4', 'kinds (f, id) where f in (1.5)', ['1.50']],
  // Compared as float8: the column's 0.1 is not the literal's.
  ['select id from kinds where f = 0.1', 'kinds (f, id)'],
  ['select id from kinds where f = $1::float8', 'kinds (f, id)', ['1.5']],
  ["select id from kinds where f in ('1.5', 0.1)", 'kinds (f, id)'],
  ["select id from kinds where f > '1.5'", 'kinds (f, id) where f > 1.5'],
  ["select id from kinds where iv = '1 day'", 'kinds (id, iv) where iv in (86400000000)'],
  ["select id from kinds where iv >= interval '1 sec'", 'kinds (id, iv) where iv >= 1000000'],
  ["select id from kinds where iv >= interval(0) '1 sec'", 'kinds (id, iv)'],
  ["select id from kinds where iv >= interval '1' hour", 'kinds (id, iv)'],
  ['select id from kinds where j = $1', 'kinds (id, j) where j in ({"a":1,"b":2})', ['{"b": 2.0, "a": 1}']],
  ["select id from kinds where j = '1'::jsonb", 'kinds (id, j) where j in (1)'],
  ["select id from kinds where j > '1'", 'kinds (id, j)'],
  ["select id from kinds where l < '0/1A'", 'kinds (id, l) where l < 000000000000001a'],
  // Its text is that of lc_monetary.
  ["select id from kinds where m = '1'", 'kinds (id, m)'],
]);

check('arrays', [
  ["select id from kinds where a = '{1, 2}'", 'kinds (a, id) where a in (["1","2"])'],
  ['select id from kinds where a = $1', 'kinds (a, id) where a in (["1",null])', ['{1,NULL}']],
  ['select id from kinds where a = $1::int[]', 'kinds (a, id) where a in (["1"])', ['{1}']],
  ['select id from kinds where a = $1::int[]', 'kinds (a, id)', ['{1.6}']],
  ['select id from kinds where a = array[1, 2]', 'kinds (a, id) where a in (["1","2"])'],
  ['select id from kinds where a = array[1, null]::int[]', 'kinds (a, id) where a in (["1",null])'],
  ['select id from kinds where a = array[1.6]::int[]', 'kinds (a, id)'],
  ['select id from kinds where a = array[1, id]', 'kinds (a, id)'],
  ['select id from kinds where a = array[[1]]', 'kinds (a, id)'],
  ["select id from kinds where a in ('{1}', '{}')", 'kinds (a, id) where a in (["1"], [])'],
  [`select id from kinds where s = array['a"', 'b,']`, 'kinds (id, s) where s in (["a\\"","b,"])'],
  // Not the elements of the column.
  ['select id from kinds where a = any($1)', 'kinds (a, id)', ['{1}']],
  ['select id from kinds where id = array[]', 'kinds (id)'],
  ["select id from kinds where a > '{1}'", 'kinds (a, id)'],
]);

test('where another operator may be meant, only what names PostgreSQL’s own says something', () => {
  const equal: CatalogOperator = {
    schema: 'public',
    name: '=',
    volatility: 'immutable',
    mayTakeOver: true,
    function: { schema: 'public', name: 'doubles' },
  };
  // Its own body, a text, implies the name again.
  const definition = 'SELECT b.t FROM public.a JOIN public.b USING (k) WHERE (a.k = 1)';
  const tables = EXAMPLE_CATALOG.tables.map((table) => (table.name === 'clock' ? { ...table, definition } : table));
  const analyzer = createAnalyzer({ ...EXAMPLE_CATALOG, tables, operators: [equal] });
  for (const [sql, expected] of [
    ['select id from a where k = 1', 'a (id, k)'],
    ['select id from a where k operator(pg_catalog.=) 1', 'a (id, k) where k in (1)'],
    ['select id from a where k in (1, 2)', 'a (id, k)'],
    // Which = USING meant when the view was made, is not printed with it.
    ['select 1 from clock', 'a (k) where k in (1); b (k, t)'],
    ['select id from a where k >= 1', 'a (id, k) where k >= 1'],
    ['select b.t from a join b using (k) where a.k operator(pg_catalog.=) 1', 'a (k) where k in (1); b (k, t)'],
  ] as const) {
    assert.equal(analyzer.template(sql).refusal, undefined, sql);
    assert.equal(analyzer.template(sql).bind([]).terms.map(describeTerm).join('; '), expected, sql);
  }
});
