/** Rule by rule: a statement, and the read set that it must have. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { check, exampleAnalyzer } from './check-read-sets.ts';

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
  // Of rows, which are ordered by their first difference, only the first column is known.
  ['select t from a where (id, k) < (1, 2)', 'a (id, k, t) where id <= 1'],
  ['select t from a where (k, id) > ($1, $2)', 'a (id, k, t) where k >= 5', ['5', '9']],
  ['select t from a where (k, id) > ($1, $2)', 'a (id, k, t) where k in ()', [null, '9']],
  ['select t from a where ($1, $2) >= (k, id)', 'a (id, k, t) where k <= 5', ['5', '9']],
  ['select t from a where (t, id) > ($1, $2)', 'a (id, t)', ['5', '9']],
  ['select t from a where k is not distinct from $1', 'a (k, t) where k in (5)', ['5']],
  ['select t from a where $1 is not distinct from k', 'a (k, t) where k is null', [null]],
  ['select t from a where k is not distinct from $1', 'a (k, t)', [undefined]],
  ['select t from a where k is not distinct from 5', 'a (k, t) where k in (5)'],
  ['select t from a where k is not distinct from null', 'a (k, t) where k is null'],
  ['select t from a where k is not distinct from id', 'a (id, k, t)'],
  [
    'select t from a where id = 1 or k is not distinct from $1',
    'a (id, k, t) where id in (1); a (id, k, t) where k is null',
    [null],
  ],
  ['select t from a where id operator(pg_catalog.=) 1', 'a (id, t) where id in (1)'],
  ["select t from a where m = 'x'::mood", 'a (m, t) where m in (x)'],
]);

check('what must not narrow', [
  // A star in a row stands for any number of values: what follows has no position.
  ['select a.id from a, c where (c.*, a.k) = (c.*, 1)', 'a (id, k); c (*)'],
  ['select a.id from a, c where (c.*, a.k) in ((c.*, 1))', 'a (id, k); c (*)'],
  [
    'select a.id from a, c where (c.*, a.k) in (select id, k from b) and a.k = 5',
    'a (id, k) where k in (5); c (*); b (id, k)',
  ],
  ['select a.id from a where ((a).*, a.k) = (1, 2)', 'a (*)'],
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
  ["select id from a where b = 'x  '::varchar", 'a (b, id)'],
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
  ['select a.nonsense from a', 'a (*)'],
  ['select a.pure_one from a where a.id = 1', 'a (*) where id in (1)'],
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
  // A row that the outer join fills with NULLs passes too, and is there for want of any row of b.
  ['select 1 from a left join b on b.aid = a.id where b.k is not distinct from $1', 'a (id); b (aid, k)', [null]],
  [
    'select 1 from a left join b on b.aid = a.id where b.k is not distinct from $1 or b.k = 2',
    'a (id); b (aid, k)',
    [null],
  ],
  [
    'select 1 from (select b.k from a left join b on b.aid = a.id) q where q.k is not distinct from $1',
    'a (id); b (aid, k)',
    [null],
  ],
  ['select a.t from a left join b using (k) where b.k = 1', 'a (k, t); b (k) where k in (1)'],
  ['select a.t from a left join b using (k) where k = 1', 'a (k, t) where k in (1); b (k) where k in (1)'],
  ['select k from a join b using (k) where k = $1', 'a (k) where k in (1); b (k) where k in (1)', ['1']],
  ['select k from a right join b using (k) where k = 1', 'a (k) where k in (1); b (k) where k in (1)'],
  // The bare name is either side's: a row of each shows where the other has none.
  ['select k from a full join b using (k) where k = 1', 'a (k); b (k)'],
  ['select k from a left join b using (k) where k is null', 'a (k) where k is null; b (k)'],
  // The name is that of b, which the outer join may fill in; that of a says nothing of it.
  ['select k from a right join b using (k) where k is null', 'a (k); b (k) where k is null'],
  [
    'select id from (a left join b using (id)) left join c using (id) where id = 7',
    'a (id) where id in (7); b (id) where id in (7); c (id) where id in (7)',
  ],
  [
    'select id from a left join b using (id) right join c using (id) where id = 7',
    'a (id) where id in (7); b (id) where id in (7); c (id) where id in (7)',
  ],
  ['select id from a full join b using (id) left join c using (id) where id = 7', 'a (id); b (id); c (id)'],
  [
    'select c.t from a join b using (k) join c on c.z = k where k = 1',
    'a (k) where k in (1); b (k) where k in (1); c (t, z) where z in (1)',
  ],
  [
    'select q.k from (select k from a left join b using (k)) q where q.k = 1',
    'a (k) where k in (1); b (k) where k in (1)',
  ],
  // Compared as float8, to which the column of a is rounded.
  ['select a.t from a join (select f as n from b) q using (n) where n = 1', 'a (n, t); b (f)'],
  ['select a.t from a natural join c where z = 1', 'a (id, t); c (id, t, z) where z in (1)'],
  ['select a.d from a natural left join c where id = 1', 'a (d, id, t) where id in (1); c (id, t) where id in (1)'],
  ['select a.d from a natural join (select (other.a).*, 1 as x from other.a) q where id = 1', 'a (*); a (*)'],
  ['select q.x from a full join (select 1 as k, 2 as x) q using (k) where k = 1', 'a (k)'],
  [
    'select a.t from a natural join b where a.k = 1',
    'a (f, id, k, n, t) where k in (1); b (f, id, k, n, t) where k in (1)',
  ],
  ['select j.t from (a join b on a.id = b.aid and a.k = 1) as j where j.id = 1', 'a (*) where k in (1); b (*)'],
]);

check('types of values', [
  ['select 1 from a where n = 1.50', 'a (n) where n in (1.5)'],
  ["select 1 from a where b = 'x  '", 'a (b) where b in (x)'],
  ["select 1 from a where b = 'x '::bpchar", 'a (b) where b in (x)'],
  ["select 1 from a where b = 'xyz'::char(2)", 'a (b)'],
  ['select 1 from a where b = t and t = $1', 'a (b, t) where t in (x)', ['x']],
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
  ['select 1 from a where k = 3::small', 'a (k) where k in (3)'],
  ['select 1 from a where k = $1::small', 'a (k) where k in (3)', ['3']],
  ['select 1 from a where n = 1.5::small', 'a (n)'],
  ['select 1 from a where t = 3::small', 'a (t)'],
  ['select 1 from a where k = any($1::few)', 'a (k) where k in (1, 2)', ['{1,2}']],
  ['select 1 from a where k = any($1::small[])', 'a (k)', ['{1,2}']],
  ['select 1 from a where n = 1.234::cents', 'a (n)'],
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
  const [row] = exampleAnalyzer().template('select t from a where id = $1 and k = 2').bind(['1']).terms;
  assert.equal(row?.grain, 'row');
  assert.deepEqual(row?.indexBy, { column: 'id', type: 'int4', values: ['1'] });
  const [list] = exampleAnalyzer().template('select t from a where k in (1, 2) and ok').bind([]).terms;
  assert.equal(list?.grain, 'predicate');
  assert.deepEqual(list?.indexBy, { column: 'k', type: 'int4', values: ['1', '2'] });
  const [range] = exampleAnalyzer().template('select t from a where k > 1').bind([]).terms;
  assert.equal(range?.indexBy, undefined);
  const [whole] = exampleAnalyzer().template('select t from a where id + 1 = 2').bind([]).terms;
  assert.equal(whole?.grain, 'table');
  assert.match(whole?.coarse ?? '', /condition on id/);
});
