/** Conditions that go into sub-selects and come out of them. */
import { type Case, check } from './check-read-sets.ts';

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
  ['select 1 from (select k, count(*) as n from a group by grouping sets ((k), ())) q where k = 7', 'a (k)'],
  ['select 1 from (select k, count(*) as n from a group by k, rollup (t)) q where k = 7', 'a (k, t) where k in (7)'],
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
