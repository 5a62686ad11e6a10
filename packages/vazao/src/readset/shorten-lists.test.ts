import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import { createAnalyzer } from './analyzer.ts';
import { describeTerm } from './describe.ts';
import { EXAMPLE_CATALOG } from './example-catalog.ts';
import { loadParser } from './parse.ts';
import { shortenLists } from './shorten-lists.ts';

before(() => loadParser());

const SHORTENED: readonly (readonly [text: string, shortened: string | undefined])[] = [
  ['select 1 from a where id in (1, 2, 3, 4)', 'select 1 from a where id in (1, 2)'],
  ['in ( 1,-2.5 ,3\n, 4 )', 'in ( 1,-2.5 )'],
  ["in ('a', 'it''s', ',', ')', 'x')", "in ('a', 'it''s')"],
  ['array[1, 2, 3] || (4, 5, 6)', 'array[1, 2] || (4, 5)'],
  ['f(1, 2)', 'f(1, 2)'],
  // What is no plain literal ends a list, and stays.
  ['in (1, 2, 3, g(4), 5)', 'in (1, 2, g(4), 5)'],
  ['in (1, 2, 3::int8, 4)', 'in (1, 2, 3::int8, 4)'],
  ["in (1, 2, 3, date '2024-01-01', $1)", "in (1, 2, date '2024-01-01', $1)"],
  ["in ('a', 'b'\n'c', 'd')", "in ('a', 'b'\n'c', 'd')"],
  ['in (1, 2, 3 + 4)', 'in (1, 2, 3 + 4)'],
  ["in (1, 2, \u00a03, 'x')", "in (1, 2, \u00a03, 'x')"],
  // A quote, or a name, may hold what looks like a list.
  ['select \'(1, 2, 3)\', "(1, 2, 3)" from a', 'select \'(1, 2, 3)\', "(1, 2, 3)" from a'],
  ["select ''', (', f(1, 2, 3), ') , '''", "select ''', (', f(1, 2), ') , '''"],
  // Unsure.
  ["in (e'\\'', 2, 3)", undefined],
  ['in (1, 2, 3) -- )', undefined],
  ['in (1, 2, 3) /* ( */', undefined],
  ['in (1, 2, $$3$$)', undefined],
  ["in ('a', 'b', 'c", undefined],
  ["in ('2024-01-01', '2024-01-02', 'today')", undefined],
];

for (const [text, shortened] of SHORTENED)
  test(`shortened: ${text}`, () => {
    assert.equal(shortenLists(text), shortened);
  });

test('the length is one of bytes', () => {
  const sql = `select 1 from a where t in (${Array(3_300).fill("'éééééééé'")})`;
  assert.ok(sql.length < 64 * 1024);
  assert.equal(createAnalyzer(EXAMPLE_CATALOG).template(sql).refusal, undefined);
});

test('a statement that its lists make long depends on the whole of its tables, and on no column more', () => {
  const analyzer = createAnalyzer(EXAMPLE_CATALOG);
  const ids = Array.from({ length: 20_000 }, (_, n) => n * 7);
  const sql = `select b.k from a join b on b.aid = a.id where a.id in (${ids}) and b.k = $1 order by b.k limit 3`;
  const template = analyzer.template(sql);
  assert.equal(template.refusal, undefined);
  assert.equal(template.topN, undefined);
  assert.deepEqual(template.bind(['1']).terms.map(describeTerm), ['a (id)', 'b (aid, k)']);
  assert.equal(
    analyzer.template(sql.replace('0,7,14', '0,7,15')),
    template,
    'what is left out makes no other template',
  );
  const refused = analyzer.template(`select random() from a where id in (${ids})`);
  assert.equal(refused.refusal?.code, 'volatile-function');
});
