/** OR, and conditions that a parameter turns off. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { check, exampleAnalyzer } from './check-read-sets.ts';

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
  // Sent in binary, or not known.
  ['select 1 from a where $1::int is null or k = $2', 'a (k)', [Buffer.from('3'), '4']],
  ['select 1 from a where $1::bool or k = $2', 'a (k)', [undefined, '4']],
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

test('bounds: long lists and many conditions go coarse', () => {
  const list = Array.from({ length: 12_000 }, (_, at) => at).join(',');
  const [term] = exampleAnalyzer()
    .template('select t from a where id = any($1)')
    .bind([`{${list}}`]).terms;
  assert.equal(term?.grain, 'table');
  const [literal] = exampleAnalyzer().template(`select t from a where id in (${list})`).bind([]).terms;
  assert.equal(literal?.grain, 'table');
  const many = Array.from({ length: 1_500 }, () => 'k=1').join(' and ');
  assert.equal(exampleAnalyzer().template(`select t from a where ${many}`).bind([]).terms[0]?.predicates.length, 1_000);
  const arms = (count: number, arm: string) =>
    Array.from({ length: count }, (_, at) => arm.replace('#', `${at}`)).join(' or ');
  const predicatesOf = (where: string) => exampleAnalyzer().template(`select 1 from a where ${where}`).bind([]).terms;
  assert.equal(predicatesOf(arms(900, 'k=#'))[0]?.predicates.length, 1, 'a list, however long');
  assert.equal(predicatesOf(arms(1_000, 'k>#')).length, 1_000);
  assert.equal(predicatesOf(arms(1_001, 'k>#'))[0]?.grain, 'table');
  assert.equal(predicatesOf(arms(500, '(k=# and id=1)')).length, 500);
  assert.equal(predicatesOf(arms(501, '(k=# and id=1)'))[0]?.grain, 'table');
  assert.equal(
    predicatesOf(`(${arms(40, 'k>#')}) and (${arms(30, 'id>#')})`).length,
    40,
    'what would be too many is left out',
  );
  const uuids = Array.from({ length: 700 }, (_, at) => `'aaaaaaaa-0000-0000-0000-${String(at).padStart(12, '0')}'`);
  assert.equal(
    predicatesOf(`u in (${uuids.join(', ')})`)[0]?.indexBy?.values.length,
    700,
    'their dashes are no operators',
  );
  // What stands beside it narrows as before.
  assert.deepEqual(
    predicatesOf(`(${arms(600, "(k=# and t='x')")}) and id = 5`).map(({ predicates }) => predicates.length),
    [1],
  );
  const list10k = `{${Array.from({ length: 10_000 }, (_, at) => at).join(',')}}`;
  const both = exampleAnalyzer().template(`select 1 from a where id = any($1) and (${arms(20, 'k>#')})`);
  assert.equal(both.bind([list10k]).terms.length, 1, 'each of many alternatives with a long list would be too much');
  assert.equal(both.bind(['{1,2}']).terms.length, 20);
  const wide = Array.from({ length: 90 }, (_, at) => `(select 1 from a where ${arms(40, 'k>#')} limit ${at})`).join(
    ', ',
  );
  assert.ok(exampleAnalyzer().template(`select ${wide}`).bind([]).terms.length <= 1_100);
});
