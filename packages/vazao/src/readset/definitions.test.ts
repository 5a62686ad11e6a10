/** What stands in the catalog: views, partitions, functions, policies. */
import { check } from './check-read-sets.ts';

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
  // Also if they are said to be IMMUTABLE: PostgreSQL takes the word for it.
  ['select reads_c(k) from a where id = 1', 'a (id, k) where id in (1); c (id, z)'],
  ['select total_of_c(k) from a where id = 1', 'a (id, k) where id in (1); c (id, z)'],
  ['select k #># 1 from a where id = 1', 'a (id, k) where id in (1); c (id, z)'],
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
