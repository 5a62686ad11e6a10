/** Rule by rule: a statement, and the read set that it must have. */
import assert from 'node:assert/strict';
import { before, describe, test } from 'node:test';
import { type Analyzer, createAnalyzer } from './analyzer.ts';
import { describeTerm } from './describe.ts';
import { EXAMPLE_CATALOG } from './example-catalog.ts';
import { loadParser } from './parse.ts';

let analyzer: Analyzer;
before(async () => {
  await loadParser();
  analyzer = createAnalyzer(EXAMPLE_CATALOG, { declaredFunctions: ['trusted'] });
});

/** Statement, expected terms (`;` between), parameters. */
type Case = readonly [sql: string, expected: string, parameters?: readonly unknown[]];

function check(name: string, cases: readonly Case[]): void {
  describe(name, () => {
    for (const [sql, expected, parameters = []] of cases) {
      test(`${sql}${parameters.length > 0 ? ` with ${JSON.stringify(parameters)}` : ''}`, () => {
        const template = analyzer.template(sql);
        assert.equal(template.refusal, undefined);
        assert.equal(template.pure, true);
        assert.equal(template.bind(parameters).terms.map(describeTerm).join('; '), expected);
      });
    }
  });
}

check('simple conditions', [
  ['select t from a where id = 7', 'a (id, t) where id in (7)'],
  ['select t from a where 7 = id', 'a (id, t) where id in (7)'],
  ['select t from a where id = $1', 'a (id, t) where id in (7)', ['7']],
  ['select t from a where id = $1', 'a (id, t) where id in (7)', [7]],
  ['select t from a where id in (1, $1, null)', 'a (id, t) where id in (1, 2)', ['2']],
  ['select t from a where id = any($1)', 'a (id, t) where id in (1, 2)', ['{1,2,NULL}']],
  ['select t from a where id = any($1::int[])', 'a (id, t) where id in (1)', ['{1}']],
  ["select t from a where id = any('{4,5}')", 'a (id, t) where id in (4, 5)'],
  ["select t from a where id = any('{4,5}'::int[])", 'a (id, t) where id in (4, 5)'],
  ['select t from a where id = any(array[1, $1])', 'a (id, t) where id in (1, 3)', ['3']],
  ['select t from a where id = null', 'a (id, t) where id in ()'],
  ['select t from a where id = $1', 'a (id, t) where id in ()', [null]],
  ['select t from a where k < 5 and k >= $1', 'a (k, t) where k < 5 and k >= 2', ['2']],
  ['select t from a where 5 > k', 'a (k, t) where k < 5'],
  ['select t from a where k between 1 and 3', 'a (k, t) where k >= 1 and k <= 3'],
  ['select t from a where k not between 1 and 3', 'a (k, t)'],
  ['select t from a where k between symmetric 3 and 1', 'a (k, t)'],
  ['select t from a where ok', 'a (ok, t) where ok in (t)'],
  ['select t from a where not ok', 'a (ok, t) where ok in (f)'],
  ['select t from a where ok = true', 'a (ok, t) where ok in (t)'],
  ['select t from a where ok is false', 'a (ok, t) where ok in (f)'],
  ['select t from a where ok is not true', 'a (ok, t)'],
  ['select t from a where k is null and d is not null', 'a (d, k, t) where k is null and d is not null'],
  ['select t from a where (id, k) = (1, 2)', 'a (id, k, t) where id in (1) and k in (2)'],
  ['select t from a where (id, k) in ((1, 2), (3, 4))', 'a (id, k, t) where id in (1, 3) and k in (2, 4)'],
  ['select t from a where (id, k) < (1, 2)', 'a (id, k, t)'],
  ['select t from a where id operator(pg_catalog.=) 1', 'a (id, t) where id in (1)'],
  ["select t from a where m = 'x'::mood", 'a (m, t) where m in (x)'],
]);

check('what must not narrow', [
  ['select t from a where not (id = 1)', 'a (id, t)'],
  ['select t from a where id <> 1', 'a (id, t)'],
  ['select t from a where case when id = 1 then true end', 'a (id, t)'],
  ['select k, count(*) from a group by k having k = 1', 'a (k)'],
  ['select id = 1 from a', 'a (id)'],
  ['select count(*) filter (where id = 1) from a', 'a (id)'],
  ["select t from a where id::text = '1'", 'a (id, t)'],
  ['select t from a where id + 0 = 1', 'a (id, t)'],
  ['select t from a where t collate "C" = \'x\'', 'a (t)'],
  ["select id from a where ci = 'x'", 'a (ci, id)'],
  ["select id from a where b = 'x'", 'a (b, id)'],
  ["select id from a where t < 'x'", 'a (id, t)'],
  ['select id from a where id = any(select k from a)', 'a (id); a (k)'],
  ['select id from a where id = all($1)', 'a (id)', ['{1}']],
  ['select id from a where id is distinct from 1', 'a (id)'],
]);

check('columns', [
  ['select count(*) from a', 'a ()'],
  ['select * from a where id = 1', 'a (*) where id in (1)'],
  ['select a.* from a, b where b.id = 1', 'a (*); b (id) where id in (1)'],
  ['select a from a', 'a (*)'],
  ['select x from a as x', 'a (*)'],
  ['select count(a) from a', 'a (*)'],
  ['select (a).id from a', 'a (*)'],
  ['select row_to_json(x) from (select id, t from a) x', 'a (id, t)'],
  ['select tableoid from a', 'a (*)'],
  ['select g from a where id = 1', 'a (*) where id in (1)'],
  ['select t from a where g = 1', 'a (*)'],
  ['select b.id from a join b on b.k = a.g where a.g = 4', 'a (*); b (id, k) where k in (4)'],
  ['select id as x from a order by x', 'a (id)'],
  ['select id as t from a order by t', 'a (id, t)'],
  ['select count(*) as x from a group by k order by x', 'a (k)'],
  ['select distinct on (k) t from a order by k, d', 'a (d, k, t)'],
  ['select sum(n) over (partition by k order by d) from a', 'a (d, k, n)'],
  ['select nonsense from a', 'a (*)'],
  ['select y from a as x(y) where y = 3', 'a (id) where id in (3)'],
  ['select only_other from other.a where a.id = 2', 'a (id, only_other) where id in (2)'],
  ['select other.a.id from other.a', 'a (id)'],
  ['select limit_.id from a limit_ limit (select k from b where id = 1)', 'a (id); b (id, k) where id in (1)'],
]);

check('joins', [
  ['select b.t from a join b on b.aid = a.id where a.id = 7', 'a (id) where id in (7); b (aid, t) where aid in (7)'],
  ['select b.t from a, b where b.aid = a.id and b.aid = 7', 'a (id) where id in (7); b (aid, t) where aid in (7)'],
  [
    'select b.t from a left join b on b.aid = a.id where a.id = 7',
    'a (id) where id in (7); b (aid, t) where aid in (7)',
  ],
  ['select b.t from a left join b on b.aid = a.id and b.k = 2', 'a (id); b (aid, k, t) where k in (2)'],
  ['select b.t from a left join b on b.aid = a.id and a.k = 2', 'a (id, k); b (aid, t)'],
  // Only WHERE carries from right to left.
  ['select b.t from a left join b on b.aid = a.id and b.aid = 7', 'a (id); b (aid, t) where aid in (7)'],
  ['select b.t from a left join b on b.aid = a.id where b.aid = 7', 'a (id); b (aid, t) where aid in (7)'],
  [
    'select b.t from a left join b on true where b.aid = a.id and b.aid = 7',
    'a (id) where id in (7); b (aid, t) where aid in (7)',
  ],
  ['select b.t from a left join b on b.aid = a.id where b.k is null', 'a (id); b (aid, k, t)'],
  ['select b.t from a left join b on b.aid = a.id and b.k is null', 'a (id); b (aid, k, t) where k is null'],
  ['select b.t from a left join b on b.aid = a.id where a.k is null', 'a (id, k) where k is null; b (aid, t)'],
  ['select b.t from a right join b on b.aid = a.id where a.k is null', 'a (id, k); b (aid, t)'],
  [
    'select b.t from b right join a on b.aid = a.id where a.id = 7',
    'b (aid, t) where aid in (7); a (id) where id in (7)',
  ],
  ['select b.t from a full join b on b.aid = a.id and a.id = 7', 'a (id); b (aid, t)'],
  ['select b.t from a full join b on b.aid = a.id where a.id = 7', 'a (id) where id in (7); b (aid, t)'],
  [
    'select c.t from a left join (b join c on c.bid = b.id and c.z = 1) on b.aid = a.id and b.id = 4 where a.id = 7',
    'a (id) where id in (7); b (aid, id) where id in (4) and aid in (7); c (bid, t, z) where bid in (4) and z in (1)',
  ],
  [
    'select c.t from a left join b on b.aid = a.id left join c on c.bid = b.id where a.id = 7',
    'a (id) where id in (7); b (aid, id) where aid in (7); c (bid, t)',
  ],
  // Of another family: equal after rounding.
  ['select 1 from a join b on a.f = b.n where a.f = 1', 'a (f) where f in (1); b (n)'],
  ['select 1 from a join b on a.ci = b.t where b.t = $1', 'a (ci); b (t) where t in (x)', ['x']],
]);

check('USING, NATURAL and aliases of joins', [
  ['select a.t from a join b using (k) where a.k = 1', 'a (k, t) where k in (1); b (k) where k in (1)'],
  ['select a.t from a left join b using (k) where b.k = 1', 'a (k, t); b (k) where k in (1)'],
  ['select a.t from a left join b using (k) where k = 1', 'a (k, t); b (k)'],
  ['select q.x from a full join (select 1 as k, 2 as x) q using (k) where k = 1', 'a (k)'],
  ['select a.t from a natural join b where a.k = 1', 'a (*) where k in (1); b (*)'],
  ['select j.t from (a join b on a.id = b.aid and a.k = 1) as j where j.id = 1', 'a (*) where k in (1); b (*)'],
]);

check('sub-selects', [
  [
    'select (select count(*) from b where b.aid = a.id) from a where a.id = 7',
    'a (id) where id in (7); b (aid) where aid in (7)',
  ],
  [
    'select 1 from a where id = 7 and exists (select * from b where aid = a.id)',
    'a (id) where id in (7); b (aid) where aid in (7)',
  ],
  ['select 1 from a where exists (select * from b group by aid)', 'a (); b (*)'],
  // The inner condition on the outer table filters the inner rows, not the outer.
  ['select 1 from a where not exists (select 1 from b where a.id = 7)', 'a (id); b ()'],
  [
    'select 1 from a where exists (select 1 from b where b.aid = a.id and b.aid = 7)',
    'a (id); b (aid) where aid in (7)',
  ],
  // Innermost first: `k` is b's.
  [
    'select 1 from a where a.k = 9 and exists (select 1 from b where k = 1)',
    'a (k) where k in (9); b (k) where k in (1)',
  ],
  ['select 1 from a where d is null and exists (select 1 from c where d is null)', 'a (d) where d is null; c ()'],
  [
    'select q.t from a, lateral (select t from b where b.aid = a.id limit 1) q where a.id = 7',
    'a (id) where id in (7); b (aid, t) where aid in (7)',
  ],
  [
    'select (select json_agg(r) from (select b.id from b where b.aid = a.id) r) from a where a.id = 7',
    'a (id) where id in (7); b (aid, id) where aid in (7)',
  ],
  ['select 1 from a where k = 1 union all select 1 from a where k = 2', 'a (k) where k in (1); a (k) where k in (2)'],
  ['select id from a where k = 1 except select id from b order by id', 'a (id, k) where k in (1); b (id)'],
  ['values ((select k from a where id = 1))', 'a (id, k) where id in (1)'],
  ['table a', 'a (*)'],
]);

check('OR', [
  ['select t from a where id = 1 or k = 2', 'a (id, k, t) where id in (1); a (id, k, t) where k in (2)'],
  ['select 1 from a where id = 1 or id = 2 or id in (3, $1)', 'a (id) where id in (1, 2, 3, 4)', ['4']],
  [
    'select 1 from a where (id = 1 and k = 2) or d is null',
    'a (d, id, k) where id in (1) and k in (2); a (d, id, k) where d is null',
  ],
  [
    'select 1 from a where k = 9 and (id < 1 or id > 5)',
    'a (id, k) where k in (9) and id < 1; a (id, k) where k in (9) and id > 5',
  ],
  [
    'select 1 from a where (id = 1 or k = 1) and (id = 2 or d is null)',
    'a (d, id, k) where id in (1) and id in (2); a (d, id, k) where id in (1) and d is null; a (d, id, k) where k in (1) and id in (2); a (d, id, k) where k in (1) and d is null',
  ],
  // A list is carried, alternatives are not.
  [
    'select 1 from a join b on b.aid = a.id where a.id = 1 or a.id = 2',
    'a (id) where id in (1, 2); b (aid) where aid in (1, 2)',
  ],
  [
    'select 1 from a join b on b.aid = a.id where a.id = 1 or a.id < 0',
    'a (id) where id in (1); a (id) where id < 0; b (aid)',
  ],
  // An arm that says nothing of the reference, or that is not understood.
  ['select 1 from a, b where a.k = 1 or (a.k = 2 and b.k = 3)', 'a (k) where k in (1, 2); b (k)'],
  [
    'select 1 from a, b where (a.k = 1 and b.k > 4) or (a.k = 2 and b.k = 3)',
    'a (k) where k in (1, 2); b (k) where k > 4; b (k) where k in (3)',
  ],
  ['select 1 from a where k = 1 or k + 1 = 3', 'a (k)'],
  ['select 1 from a where not (k = 1 or k = 2)', 'a (k)'],
  ['select 1 from a where k = 1 or (id = 4 and k + 1 = 3)', 'a (id, k) where k in (1); a (id, k) where id in (4)'],
  // Of the nullable side, IS NULL says nothing.
  ['select 1 from a left join b on true where b.k = 1 or b.k = 2', 'a (); b (k) where k in (1, 2)'],
  ['select 1 from a left join b on true where b.k = 1 or b.k is null', 'a (); b (k)'],
  [
    'select 1 from a left join b on true where b.k = 1 or (b.k is null and b.id = 3)',
    'a (); b (id, k) where k in (1); b (id, k) where id in (3)',
  ],
  ['select 1 from a left join b on a.k = 1 or b.k = 2', 'a (k); b (k)'],
  ['select 1 from (select k from a) q where k = 1 or k = 2', 'a (k) where k in (1, 2)'],
]);

check('conditions that a parameter turns off', [
  ['select 1 from a where t = $1 or $1 is null', 'a (t) where t in (x)', ['x']],
  ['select 1 from a where t = $1 or $1 is null', 'a (t)', [null]],
  ['select 1 from a where t = $1 or $1 is null', 'a (t)', [undefined]],
  ['select 1 from a where $1::int is null or k = $1', 'a (k) where k in (3)', ['3']],
  ['select 1 from a where $1::int is not null or k = $2', 'a (k)', ['3', '4']],
  ['select 1 from a where $1::int is not null or k = $2', 'a (k) where k in (4)', [null, '4']],
  ['select 1 from a where $1::bool or k = 3', 'a (k) where k in (3)', ['f']],
  ['select 1 from a where $1::bool or k = 3', 'a (k)', ['true']],
  ['select 1 from a where not $1::bool or k = 3', 'a (k)', ['f']],
  ['select 1 from a where not $1::bool or k = 3', 'a (k) where k in (3)', [null]],
  ['select 1 from a where $1::int is null or k > $1', 'a (k) where k > 3', ['3']],
  ['select 1 from a where $1::int is null or k > $1', 'a (k)', [null]],
  [
    'select 1 from a where ($1::int is not null and k = $1) or ($1 is null and k = 7)',
    'a (k) where k in (3, 7)',
    ['3'],
  ],
  ['select 1 from a where ($1::int is not null and k > $1) or ($1 is null and k < 7)', 'a (k) where k > 3', ['3']],
  ['select 1 from a where ($1::int is not null and k > $1) or ($1 is null and k < 7)', 'a (k) where k < 7', [null]],
  [
    'select 1 from a where ($1::int is not null and k > 3) or ($2::int is not null and k < 7)',
    'a (k) where k in ()',
    [null, null],
  ],
  [
    'select 1 from a join b on b.aid = a.id where $1::int is null or a.id = $1',
    'a (id) where id in (3); b (aid) where aid in (3)',
    ['3'],
  ],
  [
    'select 1 from a where ($1::text is null or t = $1) and ($2::int is null or k = $2) and ($3::bool is null or ok = $3)',
    'a (k, ok, t) where k in (5) and ok in (t)',
    [null, '5', 'true'],
  ],
  // Of another type, or of none that is known, NULL may look different.
  ['select 1 from a where $1::pair is null or k = 3', 'a (k)', ['(,)']],
  ['select lower($1) from a where $1 is null or k = 3', 'a (k)', ['x']],
]);

check('IN with a sub-select', [
  ['select t from a where id in (select aid from b where k = 1)', 'a (id, t); b (aid, k) where k in (1)'],
  // Both ways.
  [
    'select t from a where id in (select aid from b where aid = 7)',
    'a (id, t) where id in (7); b (aid) where aid in (7)',
  ],
  [
    'select t from a where id = 7 and id = any(select aid from b)',
    'a (id, t) where id in (7); b (aid) where aid in (7)',
  ],
  [
    'select t from a where (id, k) in (select aid, k from b) and id = 7 and k = 2',
    'a (id, k, t) where id in (7) and k in (2); b (aid, k) where aid in (7) and k in (2)',
  ],
  // From the nullable side, too: NULL is in no list.
  [
    'select t from a where id = 7 and id in (select b.aid from c left join b on b.id = c.bid)',
    'a (id, t) where id in (7); c (bid); b (aid, id) where aid in (7)',
  ],
  // Other rows would take the place of those that are gone; what is inside still holds outside.
  ...['limit 1', 'offset 1', 'fetch first 2 rows with ties'].map(
    (limit): Case => [
      `select t from a where id = 7 and id in (select aid from b order by aid ${limit})`,
      'a (id, t) where id in (7); b (aid)',
    ],
  ),
  [
    'select t from a where id in (select aid from b where aid = 7 limit 1)',
    'a (id, t) where id in (7); b (aid) where aid in (7)',
  ],
  [
    'select t from a where id = 7 and id in (select distinct on (k) aid from b order by k, aid)',
    'a (id, t) where id in (7); b (aid, k)',
  ],
  [
    'select t from a where id = 7 and id in (select aid from b group by aid having count(*) > 1)',
    'a (id, t) where id in (7); b (aid) where aid in (7)',
  ],
  [
    'select t from a where id = 7 and id in (select aid from b group by 1)',
    'a (id, t) where id in (7); b (aid) where aid in (7)',
  ],
  ['select t from a where id = 7 and id in (select aid from b group by id)', 'a (id, t) where id in (7); b (aid, id)'],
  [
    'select t from a where id = 7 and id in (select aid from b group by rollup (aid))',
    'a (id, t) where id in (7); b (aid)',
  ],
  [
    'select t from a where id = 7 and id in (select aid from b union select k from b)',
    'a (id, t) where id in (7); b (aid) where aid in (7); b (k) where k in (7)',
  ],
  [
    'select t from a where id = 7 and id in (select aid from b union select k from b limit 1)',
    'a (id, t) where id in (7); b (aid); b (k)',
  ],
  // Where false and NULL differ, or another operator is meant, nothing is said.
  ['select t from a where id = 7 and id not in (select aid from b)', 'a (id, t) where id in (7); b (aid)'],
  ['select t from a where id = 7 and not (id in (select aid from b))', 'a (id, t) where id in (7); b (aid)'],
  ['select t from a where id = 7 and id <> any(select aid from b)', 'a (id, t) where id in (7); b (aid)'],
  ['select t from a where id = 7 and id = all(select aid from b)', 'a (id, t) where id in (7); b (aid)'],
  [
    'select id in (select aid from b where aid = 3) from a where id = 7',
    'a (id) where id in (7); b (aid) where aid in (3)',
  ],
  // ON narrows the right side only; what matters of the left side narrows within.
  ['select 1 from a left join b on a.id in (select z from c where z = 3)', 'a (id); b (); c (z) where z in (3)'],
  [
    'select 1 from a left join b on a.id in (select z from c) where a.id = 7',
    'a (id) where id in (7); b (); c (z) where z in (7)',
  ],
  ['select 1 from a where f in (select n from b) and f = 1', 'a (f) where f in (1); b (n)'],
  ['select 1 from a where ci in (select t from b) and ci = $1', 'a (ci); b (t)', ['x']],
]);

check('conditions on what sub-selects give', [
  ['select 1 from (select * from a) q where q.id = 7', 'a (*) where id in (7)'],
  ['select 1 from (select id as x from a where k = 1) q where x >= 7', 'a (id, k) where id >= 7 and k in (1)'],
  ['select 1 from (select id, k from a) q(x, y) where y = 7', 'a (id, k) where k in (7)'],
  ['select 1 from (select distinct k from a) q where k = 7', 'a (k) where k in (7)'],
  ['select 1 from (select k, count(*) from a group by k) q where k = 7', 'a (k) where k in (7)'],
  ['select 1 from (select t, k, count(*) from a group by 2, t) q where k = 7', 'a (k, t) where k in (7)'],
  ['select 1 from (select k, count(*) as n from a group by id) q where k = 7', 'a (id, k)'],
  ['select 1 from (select k, count(*) as n from a group by cube (k)) q where k = 7', 'a (k)'],
  ['select 1 from (select k, sum(id) over (order by id) as n from a) q where k = 7', 'a (id, k)'],
  ['select 1 from (select k from a window w as (order by k)) q where k = 7', 'a (k)'],
  ['select 1 from (select distinct on (id) id, k from a order by id) q where k = 7', 'a (id, k)'],
  ['select 1 from (select k from a order by id limit 5) q where k = 7', 'a (id, k)'],
  ['select 1 from (select k from a order by id offset 5) q where k = 7', 'a (id, k)'],
  ['select 1 from (select k + 0 as k from a) q where k = 7', 'a (k)'],
  ['select 1 from (select a.id, b.id from a, b) q where id = 7', 'a (id); b (id)'],
  [
    'select 1 from (select a.*, b.aid from a, b) q where aid = 7 and id = 3',
    'a (*) where id in (3); b (aid) where aid in (7)',
  ],
  // Outwards through LIMIT, and to a neighbour.
  [
    'select 1 from (select aid from b where aid = 7 limit 1) q join a on a.id = q.aid',
    'b (aid) where aid in (7); a (id) where id in (7)',
  ],
  [
    'select 1 from a left join (select aid, count(*) as n from b group by aid) q on q.aid = a.id where a.id = 7',
    'a (id) where id in (7); b (aid) where aid in (7)',
  ],
  // The nullable side: ON narrows it, and what is NULL-filled inside is not equal to anything.
  ['select 1 from a left join (select aid from b) q on q.aid = 7', 'a (); b (aid) where aid in (7)'],
  ['select 1 from (select aid from b) q left join a on q.aid = 7', 'b (aid); a ()'],
  ['select 1 from a left join (select aid from b) q on true where q.aid is null', 'a (); b (aid)'],
  ['select 1 from (select b.aid from a left join b on b.k = a.id) q where q.aid is null', 'a (id); b (aid, k)'],
  [
    'select 1 from (select b.aid from a left join b on b.aid = 7) q join c on c.z = q.aid',
    'a (); b (aid) where aid in (7); c (z) where z in (7)',
  ],
  [
    'select 1 from (select id, k from a union all select id, k from b) q where k = 7',
    'a (id, k) where k in (7); b (id, k) where k in (7)',
  ],
  [
    'select 1 from (select id, k from a except select id, k from b) q where k = 7',
    'a (id, k) where k in (7); b (id, k) where k in (7)',
  ],
  [
    'select 1 from (select k from a where k = 7 union select k from b) q join c on c.z = q.k',
    'a (k) where k in (7); b (k); c (z)',
  ],
  ['select 1 from (select k from a union select f from a) q where k = 7', 'a (k); a (f)'],
  ['select 1 from ((select k from a limit 1) union select k from b) q where k = 7', 'a (k); b (k) where k in (7)'],
  ['select 1 from (select k from a union select k from b limit 1) q where k = 7', 'a (k); b (k)'],
  [
    'select 1 from a, lateral (select b.aid, a.k from b) q where q.aid = 7 and q.k = 2',
    'a (k); b (aid) where aid in (7)',
  ],
  ['with q as (select id, k from a) select 1 from q where k = 7', 'a (id, k) where k in (7)'],
  ['with q(x) as materialized (select k from a) select 1 from q where x = 7', 'a (k) where k in (7)'],
  // Two references share the rows.
  ['with q as (select k from a) select 1 from q x, q y where x.k = 7 and y.k = 7', 'a (k)'],
  ['with q as (select k from a) select 1 from q where k = 7 and exists (select 1 from q)', 'a (k)'],
  [
    'with q as (select k from a where k = 7) select 1 from q x join b on b.k = x.k join q y on true',
    'a (k) where k in (7); b (k) where k in (7)',
  ],
  ['with q as (select k from a), r as (select k from q) select 1 from r where k = 7', 'a (k) where k in (7)'],
  ['with q as (select k from a), r as (select k from q where k = 7) select 1 from r, r s', 'a (k) where k in (7)'],
  ['with recursive q as (select k from a) select 1 from q where k = 7', 'a (k)'],
  [
    'select t from a where id = 7 and id in (with q as (select aid from b) select aid from q)',
    'a (id, t) where id in (7); b (aid) where aid in (7)',
  ],
]);

check('WITH', [
  ['with q as (select id from a where k = 1) select * from q', 'a (id, k) where k in (1)'],
  ['with a as (select id from a where k = 1) select * from a', 'a (id, k) where k in (1)'],
  [
    'with recursive q as (select 1 as id union all select b.id from b join q on b.aid = q.id where b.k = 2) select * from q',
    'b (aid, id, k) where k in (2)',
  ],
  ['with a as (select 1 as id), q as (select id from a) select * from q', ''],
  ['with a as (select 1 as id) select id from public.a where k = 1', 'a (id, k) where k in (1)'],
  // A body does not see the FROM of its own statement: `k` is no column of `c`, and none of `a` here.
  [
    'select 1 from a where a.k = 3 and exists (with q as (select 1 from b where b.k = a.k) select 1 from q)',
    'a (k) where k in (3); b (k) where k in (3)',
  ],
]);

check('types of values', [
  ['select 1 from a where n = 1.50', 'a (n) where n in (1.5)'],
  ["select 1 from a where n = '1e2'", 'a (n) where n in (100)'],
  ["select 1 from a where n = 'NaN'", 'a (n)'],
  ['select 1 from a where f = -0.0', 'a (f) where f in (0)'],
  [
    "select 1 from a where u = '{AAAAAAAA-0000-0000-0000-000000000000}'",
    'a (u) where u in (aaaaaaaa000000000000000000000000)',
  ],
  ["select 1 from a where d >= '2024-01-01'", 'a (d) where d >= 2024-01-01'],
  ["select 1 from a where d >= '1/2/2024'", 'a (d)'],
  ["select 1 from a where d >= date '2024-01-01'", 'a (d) where d >= 2024-01-01'],
  ["select 1 from a where ts >= date '2024-01-01'", 'a (ts)'],
  ["select 1 from a where ts >= '2024-01-01T00:00:00-03:00'", 'a (ts) where ts >= 2024-01-01 03:00:00.000000'],
  ["select 1 from a where ts >= '2024-01-01 00:00:00'", 'a (ts)'],
  ["select 1 from a where l = '2024-01-01T00:00:00Z'", 'a (l)'],
  ["select 1 from a where t = 'a '", 'a (t) where t in (a )'],
  ["select 1 from a where t = 'x'::char(3)", 'a (t)'],
  ["select 1 from a where t = 'xyz'::varchar(2)", 'a (t)'],
  ['select 1 from a where n = 1.234::numeric(4, 1)', 'a (n)'],
  ['select 1 from a where k = 1.6::int', 'a (k)'],
  ['select 1 from a where k = 1.6', 'a (k) where k in (1.6)'],
  ['select 1 from a where k = 3::small', 'a (k)'],
  ['select 1 from a where n = 1::float8', 'a (n)'],
]);

check('types of parameters', [
  // PostgreSQL takes the type from the first use: here float8, for both.
  ['select 1 from a where f = $1 and n = $1', 'a (f, n)', ['0.1']],
  ['select 1 from a where k = $1 and n = $1', 'a (k, n) where k in (1) and n in (1)', ['1']],
  ['select 1 from a where n = $1 and k = $1::int', 'a (k, n) where n in (1.6)', ['1.6']],
  ['select 1 from a where ($1::text is null or t = $1) and t = $1', 'a (t) where t in (x) and t in (x)', ['x']],
  ['select lower($1) from a where t = $1', 'a (t)', ['x']],
  ['select 1 from a where k = $1 limit $1', 'a (k)', ['1']],
  ['select 1 from a where k = $1 limit $2', 'a (k) where k in (1)', ['1', '5']],
  ['select 1 from a where k = any($1) and n = any($1)', 'a (k, n) where k in (1) and n in (1)', ['{1}']],
  ['select 1 from a where k = $1', 'a (k)', [undefined]],
  ['select 1 from a where k = $1', 'a (k)', [Buffer.from('1')]],
  ['select 1 from a where k = any($1)', 'a (k)', ['{{1},{2}}']],
]);

check('views, partitions and inheritance', [
  ['select total from v where id = 1', 'a (id, k) where id in (1) and k in (1)'],
  ['select total from v where total = 1', 'a (id, k) where k in (1)'],
  ['select x from v as w(x) where x = 1', 'a (id, k) where id in (1) and k in (1)'],
  ['select id from vv', 'a (id, k) where k in (1); b (aid) where aid in (3)'],
  ['select id from vv where id = 5', 'a (id, k) where id in (5) and k in (1); b (aid) where aid in (3)'],
  // Each use of a view has conditions of its own.
  [
    'select 1 from v x, v y where x.id = 1 and y.id = 2',
    'a (id, k) where id in (1) and k in (1); a (id, k) where id in (2) and k in (1)',
  ],
  [
    'select b.t from v join b on b.k = v.id where v.id = 2',
    'a (id, k) where id in (2) and k in (1); b (k, t) where k in (2)',
  ],
  // What is known within holds outside.
  [
    'select b.t from vv join b on b.k = vv.id and vv.id = 3',
    'a (id, k) where id in (3) and k in (1); b (aid) where aid in (3); b (k, t) where k in (3)',
  ],
  ['select k from parent where id = 1', 'parent (id, k) where id in (1)'],
  ['select k from only parent', 'parent (k)'],
  ['select more from child where id = 1', 'child (id, more) where id in (1)'],
]);

check('functions in SQL', [
  ['select reads_b(7) from a where id = 1', 'a (id) where id in (1); b (aid, k) where k in (2)'],
  ['select reads_b(k) from a where k = $1', 'a (k) where k in (7); b (aid, k) where k in (2)', ['7']],
  ['select reads_a()', 'a (id, t) where id in (5)'],
  ['select * from reads_a()', 'a (id, t) where id in (5)'],
  ['select reads_both()', 'c (z); b (aid, k) where k in (2)'],
]);

check('row-level security', [
  ['select id from per_owner where id = 7', 'per_owner (id, owner) where id in (7)'],
  ['select id from open_to_us', 'open_to_us (id)'],
  // What the policy reads elsewhere: for rows that matter.
  ['select 1 from per_team where id = 7', 'per_team (id, team) where id in (7); b (aid, k) where aid in (7)'],
  [
    'select 1 from per_owner x, per_owner y where x.id = 1 and y.id = 2',
    'per_owner (id, owner) where id in (1); per_owner (id, owner) where id in (2)',
  ],
  ['select id from through_invoker where id = 3', 'per_owner (id, owner) where id in (3)'],
]);

check('strange places', [
  ['select array(select k from b where id = 1)', 'b (id, k) where id in (1)'],
  ['select 1 from a order by (select max(k) from b)', 'a (); b (k)'],
  ['select count(*) filter (where exists (select 1 from b)) from a', 'a (); b ()'],
  ['select sum(k) over (order by (select max(k) from b)) from a', 'a (k); b (k)'],
  ['select 1 from a group by grouping sets ((k), (t), ())', 'a (k, t)'],
  [
    'select 1 from a join b on a.id = (select max(z) from c where c.bid = b.id) where b.id = 4',
    'a (id); b (id) where id in (4); c (bid, z) where bid in (4)',
  ],
  ['select 1 from generate_series(1, (select max(k) from a)) s', 'a (k)'],
  ['select json_array(select k from a)', 'a (k)'],
  ["select json_object('x': (select k from a where id = 1))", 'a (id, k) where id in (1)'],
  [
    "select jt.* from a, json_table(a.j, '$' columns (x int path '$.x')) jt where a.id = 1",
    'a (id, j) where id in (1)',
  ],
  ['select trusted(k) from a', 'a (k)'],
]);

test('grain and index', () => {
  const [row] = analyzer.template('select t from a where id = $1 and k = 2').bind(['1']).terms;
  assert.equal(row?.grain, 'row');
  assert.deepEqual(row?.indexBy, { column: 'id', type: 'int4', values: ['1'] });
  const [list] = analyzer.template('select t from a where k in (1, 2) and ok').bind([]).terms;
  assert.equal(list?.grain, 'predicate');
  assert.deepEqual(list?.indexBy, { column: 'k', type: 'int4', values: ['1', '2'] });
  const [range] = analyzer.template('select t from a where k > 1').bind([]).terms;
  assert.equal(range?.indexBy, undefined);
  const [whole] = analyzer.template('select t from a where id + 1 = 2').bind([]).terms;
  assert.equal(whole?.grain, 'table');
  assert.match(whole?.coarse ?? '', /condition on id/);
});

test('bounds: long lists and many conditions go coarse', () => {
  const list = Array.from({ length: 12_000 }, (_, at) => at).join(',');
  const [term] = analyzer.template('select t from a where id = any($1)').bind([`{${list}}`]).terms;
  assert.equal(term?.grain, 'table');
  const [literal] = analyzer.template(`select t from a where id in (${list})`).bind([]).terms;
  assert.equal(literal?.grain, 'table');
  const many = Array.from({ length: 1_500 }, () => 'k=1').join(' and ');
  assert.equal(analyzer.template(`select t from a where ${many}`).bind([]).terms[0]?.predicates.length, 1_000);
  const arms = (count: number, arm: string) =>
    Array.from({ length: count }, (_, at) => arm.replace('#', `${at}`)).join(' or ');
  const predicatesOf = (where: string) => analyzer.template(`select 1 from a where ${where}`).bind([]).terms;
  assert.equal(predicatesOf(arms(900, 'k=#'))[0]?.predicates.length, 1, 'a list, however long');
  assert.equal(predicatesOf(arms(16, 'k>#')).length, 16);
  assert.equal(predicatesOf(arms(17, 'k>#'))[0]?.grain, 'table');
  assert.equal(
    predicatesOf(`(${arms(5, 'k>#')}) and (${arms(4, 'id>#')})`).length,
    5,
    'what would be too many is left out',
  );
  const wide = Array.from({ length: 90 }, (_, at) => `(select 1 from a where ${arms(16, 'k>#')} limit ${at})`).join(
    ', ',
  );
  assert.ok(analyzer.template(`select ${wide}`).bind([]).terms.length <= 1_100);
});
