/** What makes a term coarse: each reason, by a statement that has it. */
import assert from 'node:assert/strict';
import { after, describe, test } from 'node:test';
import { createAnalyzer } from './analyzer.ts';
import { exampleAnalyzer } from './check-read-sets.ts';
import { EXAMPLE_CATALOG } from './example-catalog.ts';
import { explainTerms } from './explain.ts';
import { OBSTACLES } from './obstacle.ts';

const numbers = (count: number): number[] => Array.from({ length: count }, (_, at) => at);

/** Statement, codes with their subjects for each term (`;` between), parameters. */
const CASES: readonly (readonly [sql: string, expected: string, parameters?: readonly unknown[]])[] = [
  ["select 1 from a where lower(t) = 'x'", 'expression t'],
  ['select 1 from a where k + id = 3', 'expression k, expression id'],
  ['select 1 from a where case when k = 1 then true end', 'expression k'],
  ["select 1 from a where id::text = '7'", 'cast id'],
  ["select 1 from a where ts::date = '2024-01-01'", 'cast ts'],
  ['select 1 from a where k <> 4', 'operator k'],
  ["select 1 from a where t like 'x%'", 'operator t'],
  ['select 1 from a where k not in (1, 2)', 'operator k'],
  ['select 1 from a where ok is not true', 'operator ok'],
  ['select 1 from a where not (k = 1)', 'negation k'],
  ['select 1 from a where k = $1 + 1', 'value k', ['1']],
  ['select 1 from a where k = (select max(z) from c)', 'value k; no-condition'],
  ['select 1 from a where ts > now()', 'value ts'],
  ['select 1 from a where k < id', 'value k, value id'],
  ['select 1 from a where n = 1::float8', 'value-type n'],
  ["select 1 from a where t = 'x'::varchar(2)", 'value-type t'],
  ["select 1 from a where t < 'x'", 'order t'],
  ["select 1 from a where m > 'x'", 'order m'],
  ["select 1 from a where ci = 'x'", 'type ci'],
  ['select 1 from a where g = 1', 'generated g'],
  ['select lower($1) from a where t = $1', 'parameter $1', ['x']],
  ['select 1 from a, b where a.k = 1 or b.k = 2', 'or k; or k'],
  ['select 1 from a where k = 1 or lower(t) = $1', 'expression t, or k, or t', ['x']],
  [
    `select 1 from a where ${numbers(1_001)
      .map((at) => `k > ${at}`)
      .join(' or ')}`,
    'alternatives k',
  ],
  [
    `select 1 from a where (${numbers(40)
      .map((at) => `k > ${at}`)
      .join(' or ')}) and (${numbers(30)
      .map((at) => `id > ${at}`)
      .join(' or ')})`,
    'alternatives id',
  ],
  [`select 1 from a where k in (${numbers(10_001).join(',')})`, 'list k'],
  ['select 1 from a where k = any($1)', 'list k', [`{${numbers(10_001).join(',')}}`]],
  [
    `select 1 from a where ${numbers(1_001)
      .map(() => 'k>1')
      .join(' and ')}`,
    'conditions k',
  ],
  ['select 1 from a left join b on a.k = 1 where b.k = 2', 'outer-join k; '],
  ['select 1 from a left join b on true where b.k is null', 'no-condition; missing-row k'],
  ['select (select max(z) from c where a.k = 1 and c.id = 4) from a', 'outer-query k; '],
  ['select 1 from a where k in (select b.k + 1 from b)', 'sub-select k; no-condition'],
  ['select 1 from a join b on a.id = b.aid', 'join id; join aid'],
  ['select 1 from a where exists (select 1 from b where b.aid = a.id)', 'join id; join aid'],
  ['select 1 from a join b on a.f = b.n', 'join-type f; join-type n'],
  ['select 1 from (select id from a limit 9) q where q.id = 1', 'inside id'],
  ['with q as (select id from a) select 1 from q x, q y where x.id = 1', 'inside id'],
  ['select 1 from (select id, k from a) q where q.id > 1 or q.k > 1', 'inside id, inside k'],
  ['select count(*) from a', 'no-condition'],
  ['select 1 from a where k = $1', 'unknown-value k', [Buffer.from('1')]],
  ["select 1 from a where ts > '1/2/2024 00:00'", 'unknown-value ts'],
  ['select 1 from a where $1::int is null or k = $1', 'turned-off k', [null]],
  ['select 1 from a where $1::int is null or k > $1', 'turned-off k', [null]],
  ['select declared()', 'declared'],
  [`select 1 from a where id in (${Array(20_000).fill(1234)})`, 'length'],
  // Behind views and sub-selects, of the table within.
  ["select 1 from (select t as x from a) q where lower(q.x) = 'x'", 'expression t'],
  ['select 1 from vv where id + 1 = 2', 'expression id; '],
  // Of a part of the table, and not where a unique key is given.
  ["select 1 from a where k = 1 and lower(t) = 'x'", 'expression t'],
  ["select 1 from a where id = 1 and lower(t) = 'x'", ''],
  ['select 1 from a where k = 1 or k = 2', ''],
  ['select k from a order by k limit 5', ''],
];

describe('obstacles', () => {
  const catalog = {
    ...EXAMPLE_CATALOG,
    functions: [
      ...EXAMPLE_CATALOG.functions,
      { schema: 'public', name: 'declared', volatility: 'volatile', kind: 'function' } as const,
    ],
  };
  const analyzer = createAnalyzer(catalog, { declaredFunctions: [{ name: 'declared', reads: ['b'] }] });
  const seen = new Set<string>();
  for (const [sql, expected, parameters = []] of CASES) {
    test(sql.slice(0, 120), () => {
      const template = analyzer.template(sql);
      assert.equal(template.refusal, undefined);
      const terms = explainTerms(template, parameters);
      const described = terms.map(({ obstacles }) =>
        obstacles
          .map(({ code, because }) => {
            seen.add(code);
            assert.ok(!because.includes('#'));
            const [before = ''] = OBSTACLES[code].because.split('#');
            const subject = OBSTACLES[code].because.includes('#')
              ? /^\S*[^\s,]/.exec(because.slice(before.length))
              : undefined;
            return subject ? `${code} ${subject[0]}` : code;
          })
          .join(', '),
      );
      assert.equal(described.join('; '), expected);
    });
  }
  after(() => {
    const missing = Object.keys(OBSTACLES).filter((code) => !seen.has(code));
    assert.deepEqual(missing, ['place'], 'a defect of ours, of which there is none known');
  });
});

test('without parameters, their numbers stand for them', () => {
  const explain = (sql: string) => {
    const [term] = explainTerms(exampleAnalyzer().template(sql), undefined);
    return `${term?.grain}: ${term?.alternatives.map((all) => all.join(' and ')).join(' | ')}`;
  };
  for (const [where, expected] of [
    ['id = $1 and k in (1, $2)', 'row: id in ($1) and k in (1, $2)'],
    ['k = any($1) and n >= $2', 'predicate: k = any($1) and n >= $2'],
    ['k > $1 or (id = 1 and d is null)', 'predicate: k > $1, or id in (1) and d is null'],
    ['k = $1 and (id > $2 or d is null)', 'predicate: k in ($1) and (id > $2, or d is null)'],
    ['$1::int is null or k = $1', 'predicate: k in ($1) unless $1 is null'],
    ['not $2::bool or k > $1', 'predicate: not $2, or k > $1'],
    // A constant is known to narrow nothing.
    ["k = $1 and ts > '1/2/2024 00:00'", 'predicate: k in ($1)'],
    ["ts > '1/2/2024 00:00' and lower($1) = 'x'", 'table: '],
  ]) {
    assert.equal(explain(`select 1 from a where ${where}`), expected);
  }
});

test('a boundary is told of the term that it bounds', () => {
  const sql = 'select b.id, a.k from a join b on b.aid = a.id order by a.k desc limit 3';
  const terms = explainTerms(exampleAnalyzer().template(sql), undefined);
  assert.deepEqual(
    terms.map(({ boundary }) => boundary),
    ['k >= that of the last row, or null', undefined],
  );
});
