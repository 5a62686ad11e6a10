/** Each type of PostgreSQL can be compared here, or there is a reason. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createTestDatabase } from '../testing/database.ts';
import { canonical, compareCanonical, findFamily, isOrdered } from './canonical.ts';
import { orderKey } from './order-key.ts';

const NO_EQUALITY = 'has no =';
const FUZZY = 'compared with a tolerance, or by its area';
const BY_CATALOG = 'its text is a name of the system catalog, which may come to mean another object';
const NOT_COMPARED: Readonly<Record<string, string>> = {
  json: NO_EQUALITY,
  xml: NO_EQUALITY,
  jsonpath: NO_EQUALITY,
  pg_snapshot: NO_EQUALITY,
  txid_snapshot: NO_EQUALITY,
  refcursor: NO_EQUALITY,
  point: FUZZY,
  line: FUZZY,
  lseg: FUZZY,
  box: FUZZY,
  path: FUZZY,
  polygon: FUZZY,
  circle: FUZZY,
  regclass: BY_CATALOG,
  regcollation: BY_CATALOG,
  regconfig: BY_CATALOG,
  regdictionary: BY_CATALOG,
  regnamespace: BY_CATALOG,
  regoper: BY_CATALOG,
  regoperator: BY_CATALOG,
  regproc: BY_CATALOG,
  regprocedure: BY_CATALOG,
  regrole: BY_CATALOG,
  regtype: BY_CATALOG,
  aclitem: BY_CATALOG,
  money: 'its text is that of lc_monetary, which may differ between the session and the feed',
  tsvector: 'its text may name lexemes in any order, and positions beyond a bound are cut',
  tsquery: 'its text is brought into a form of its own by the parser of queries',
  char: 'takes escapes, and cuts what is longer than a byte',
  tid: 'is where a row is stored',
  xid: 'is about transactions, not about rows',
  xid8: 'is about transactions, not about rows',
  cid: 'is about transactions, not about rows',
};

test('each type has a comparator, or a reason to have none', async () => {
  await using database = await createTestDatabase();
  const { rows } = await database.pool.query<{ name: string }>(
    // Not what only the system's own tables hold.
    `select typname as name from pg_type where typnamespace = 'pg_catalog'::regnamespace and typtype = 'b' and typcategory not in ('A', 'Z')
     and typname !~ '^(gtsvector|pg_brin_.*|pg_dependencies|pg_mcv_list|pg_ndistinct|pg_node_tree)$'`,
  );
  const names = rows.map(({ name }) => name);
  const without = names.filter((name) => !findFamily(name) && !Object.hasOwn(NOT_COMPARED, name));
  assert.deepEqual(without, []);
  // PostgreSQL compares ranges by their bounds, which their text may write in several ways: as with all else, no family.
  for (const name of [...Object.keys(NOT_COMPARED), 'int4range', 'datemultirange'])
    assert.equal(findFamily(name), undefined);
});

/** In the forms in which the feed prints values and in others; PostgreSQL says which are equal, and how they are ordered. */
const TEXTS: Readonly<Record<string, readonly string[]>> = {
  int8: ['1', '01', '-1', '0', '-0', '9007199254740993', '9007199254740992'],
  numeric: ['1', '1.0', '1e0', '0.1', '-1.5', '-1.50', '10', '0', '-0.0', '1e-7', '0.0000001'],
  float4: [
    '0.1',
    '0.10000000149011612',
    '0.10000000521540642',
    '16777217',
    '16777216',
    '-0',
    '0',
    '1e-45',
    '1.4e-45',
    '3.4e38',
    'NaN',
    '-inf',
    'Infinity',
  ],
  float8: ['0.1', '0.10000000000000000000001', '0', '-0', '1e-7', 'nan', '-Infinity', '1e300'],
  interval: [
    '1 mon',
    '30 days',
    '1 year',
    '360 days',
    '-1 days',
    '-1 days +23:59:59.999999',
    '24:00:00',
    '1 day',
    'P1D',
    'PT24H',
    '1 mon -1 days',
    '29 days',
    '1 week',
    '1 min 1 sec',
    '00:01:01',
    '-1 mons +1 day 02:00:00',
    '0',
    'infinity',
    '-24:00:00',
    '1 years 1 months 1 hours',
  ],
  jsonb: [
    '1',
    '1.0',
    '"1"',
    '[1]',
    '[1.00]',
    '{"a":1,"b":2}',
    '{"b":2,"a":1.0}',
    '{"a":9,"b":2,"a":1}',
    '{}',
    '[]',
    'null',
    'true',
    '{"a":null}',
    '"\\u0061"',
    '"a"',
    '9007199254740993',
    '9007199254740992',
    '-0',
    '0',
  ],
  _int4: ['{1,2}', '{ 1 , 2 }', '{1}', '{NULL}', '{}', '[0:1]={1,2}', '{{1,2}}', '[1:2]={1,2}', '{2,1}'],
  _numeric: ['{1}', '{1.0}', '{1.00,NULL}', '{1,null}'],
  _text: ['{a}', '{"a"}', '{"NULL"}', '{NULL}', '{"a,b"}', '{a,b}', '{""}', '{"a "}', '{a }'],
  _jsonb: ['{"{\\"a\\":1}"}', '{"{\\"a\\": 1.0}"}', '{1}', '{1.0}'],
  _timestamptz: ['{2024-01-01 00:00:00+00}', '{"2023-12-31 21:00:00-03"}'],
  timetz: ['12:00+00', '12:00:00+00:00', '09:00-03', '12:00Z', '24:00:00+00'],
  timestamptz: ['2024-01-01 00:00:00+00', '2023-12-31T21:00:00-03', '2024-01-01 00:00:00.000001+00'],
  name: ['a', 'A', 'x'.repeat(63), 'x'.repeat(64), 'é'.repeat(32)],
  varbit: ['1', '01', '10', '', 'b1', 'x1', '0001'],
  pg_lsn: ['0/1A', '0/1a', '00000000/0000001A', '1/0', 'A/1', '0/FFFFFFFF'],
  macaddr8: ['08:00:2b:01:02:03:04:05', '08-00-2B-01-02-03-04-05', '08:00:2b:01:02:03', '08002b0102030405'],
  macaddr: ['08:00:2b:01:02:03', '08-00-2B-01-02-03', '08002b:010203'],
  inet: ['10.0.0.1', '10.0.0.1/32', '10.0.0.1/24', '::1'],
  bytea: ['\\x61', 'a', '\\x', ''],
  bpchar: ['a', 'a  ', ' a', ''],
  uuid: ['00000000-0000-0000-0000-00000000000a', '{0000000000000000000000000000000A}'],
  time: ['12:00', '12:00:00.000', '00:00', '24:00:00'],
};

test('values are equal and ordered here as in PostgreSQL', async () => {
  await using database = await createTestDatabase();
  for (const [type, texts] of Object.entries(TEXTS)) {
    const family = findFamily(type) ?? assert.fail(type);
    const compared = isOrdered(family)
      ? 'case when a < b then -1 when a > b then 1 else 0 end'
      : 'case when a = b then 0 else 1 end';
    for (const style of ['postgres', 'sql_standard', 'iso_8601']) {
      const client = await database.client();
      await client.query(`set intervalstyle = ${style}; set extra_float_digits = 3`);
      const { rows } = await client.query<{ left: string; right: string; order: number }>(
        `with given as (select t, t::${type} as v from unnest($1::text[]) t),
              list as (select t, v from given union all select v::text, v from given)
         select l.t as left, r.t as right, (select ${compared} from (select l.v as a, r.v as b) s)::int as order from list l, list r`,
        [texts],
      );
      await client.end();
      for (const { left, right, order } of rows) {
        const [a, b] = [canonical(type, left), canonical(type, right)];
        if (a === undefined || b === undefined) continue;
        const found = isOrdered(family) ? Math.sign(compareCanonical(type, a, b)) : a === b ? 0 : 1;
        assert.equal(found, order, `${type}: ${left} and ${right}, ${style}`);
        const [keyA = 0, keyB = 0] = [orderKey(type, a), orderKey(type, b)];
        if (order < 0) assert.ok(keyA <= keyB, `${type}: ${left} and ${right}`);
      }
    }
    assert.ok(
      texts.some((text) => canonical(type, text) !== undefined),
      type,
    );
  }
});
