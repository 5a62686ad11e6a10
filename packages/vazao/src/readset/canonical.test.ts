import assert from 'node:assert/strict';
import { test } from 'node:test';
import { formatArrayLiteral, parseArrayLiteral } from './array-literal.ts';
import { canonical, compareCanonical } from './canonical.ts';

const EQUAL: readonly (readonly [type: string, ...texts: string[]])[] = [
  ['numeric', '1', '1.0', '+1', '01.00', '10e-1', '0.1e1', ' 1 '],
  ['numeric', '0', '-0', '0.000', '0e5'],
  ['numeric', '-1.5', '-01.50', '-15e-1'],
  ['int8', '9007199254740993', '9007199254740993.0'],
  ['float8', '0', '-0', '0.0'],
  ['float8', '0.1', '1e-1', '0.1000'],
  ['bool', 't', 'TRUE', 'yes', 'on', '1', 'tr'],
  ['bool', 'f', 'false', 'off', 'n', '0'],
  ['uuid', '0000000000000000000000000000000A', '{00000000-0000-0000-0000-00000000000a}'],
  [
    'timestamptz',
    '2024-01-01 00:00:00+00',
    '2023-12-31T21:00:00-03:00',
    '2024-01-01 05:30:00.000+05:30',
    '2024-01-01T00:00Z',
  ],
  ['bpchar', 'a', 'a  ', 'a '],
  ['bpchar', '', '   '],
  ['bytea', '\\x0aFF', '\\x0AfF'],
  ['inet', '10.0.0.1', '10.0.0.1/32'],
  ['macaddr', '08:00:2B:01:02:03', '08-00-2b-01-02-03'],
  ['time', '09:05', '09:05:00', '09:05:00.000'],
  ['timestamp', '2024-01-01', '2024-01-01 00:00', '2024-01-01T00:00:00.000000'],
  ['timetz', '12:00+00', '12:00:00Z', '12:00:00.0+00:00'],
  ['float4', '0.1', '0.10000000149011612', '1e-1', '0.1000000001'],
  ['float4', '0', '-0', '0.0'],
  ['interval', '1 mon', '30 days', '720:00:00', 'P30D', '2592000 sec', '1 mon -1 days +24:00:00'],
  ['interval', '1 year', '12 mons', '360 days', 'P1Y'],
  ['interval', '-1 mons +1 day 02:00:00', '-29 days +02:00', '-694:00:00', 'PT-694H'],
  ['interval', '00:00:01.5', '1.5 secs', 'PT1.5S', '1 second 00:00:00.5'],
  ['interval', '00:00:00', '0 days', 'PT0S'],
  ['jsonb', '{"a":1,"b":[2]}', ' { "b" : [2.0], "a" : 1e0 } ', '{"a": 9, "b": [20e-1], "a": 1.00}'],
  ['jsonb', '"\\u00e9"', '"é"'],
  ['jsonb', '{"__proto__":1}', '{"__proto__": 1.0}'],
  ['_int4', '{1,NULL,2}', ' { 1 , null , "2" } '],
  ['_numeric', '{1}', '{1.0}'],
  ['_interval', '{"1 mon"}', '{"30 days"}'],
  ['_text', '{a,"b c"}', '{"a",b c}'],
  ['pg_lsn', '0/1A', '00000000/1a'],
  ['macaddr8', '08:00:2B:01:02:03:04:05', '08-00-2b-01-02-03-04-05'],
];

test('other names of the same value have one form', () => {
  for (const [type, first = '', ...others] of EQUAL) {
    assert.notEqual(canonical(type, first), undefined);
    for (const other of others) assert.equal(canonical(type, other), canonical(type, first), `${type} ${other}`);
  }
});

test('other values have other forms', () => {
  assert.notEqual(canonical('int8', '9007199254740993'), canonical('int8', '9007199254740992'));
  assert.notEqual(canonical('text', 'a'), canonical('text', 'a '));
  assert.notEqual(canonical('bpchar', 'a'), canonical('bpchar', ' a'));
  assert.notEqual(canonical('bpchar', 'a'), canonical('bpchar', 'a\t'));
  assert.notEqual(canonical('inet', '10.0.0.1/24'), canonical('inet', '10.0.0.1'));
  assert.notEqual(canonical('timetz', '12:00+00'), canonical('timetz', '09:00-03')); // one moment, and not equal
  assert.notEqual(canonical('jsonb', '[1]'), canonical('jsonb', '1'));
  assert.notEqual(canonical('jsonb', '"1"'), canonical('jsonb', '1'));
  assert.notEqual(canonical('jsonb', '9007199254740993'), canonical('jsonb', '9007199254740992'));
  assert.notEqual(canonical('_text', '{"NULL"}'), canonical('_text', '{NULL}'));
  assert.notEqual(canonical('_text', '{"a,b"}'), canonical('_text', '{a,b}'));
  assert.notEqual(canonical('varbit', '1'), canonical('varbit', '01'));
  assert.notEqual(
    canonical('timestamptz', '2024-01-01 00:00:00.000001+00'),
    canonical('timestamptz', '2024-01-01 00:00:00+00'),
  );
});

test("what can't be told is not guessed", () => {
  const unknown: readonly (readonly [string, string])[] = [
    ['numeric', 'NaN'],
    ['numeric', '1e99999'],
    ['int4', '0x10'],
    ['int4', '1_000'],
    ['int4', ''],
    ['bool', 'o'],
    ['bool', ''],
    ['uuid', 'x'],
    ['date', '1/2/2024'],
    ['date', 'today'],
    ['date', 'infinity'],
    ['timestamptz', '2024-01-01 00:00:00'],
    ['timestamp', '2024-01-01 00:00:00+00'],
    ['timestamp', '2024-01-01 24:00:00'],
    ['float4', '16777217'], // in the middle between two
    ['interval', ''],
    ['interval', 'infinity'],
    ['interval', '-1 day 02:00:00'], // depends on IntervalStyle
    ['interval', '1 day ago'],
    ['interval', '1.5 days'],
    ['interval', '1'],
    ['interval', 'P'],
    ['interval', 'P1DT'],
    ['jsonb', '{a:1}'],
    ['jsonb', '1e9999'],
    ['jsonb', '"\\ud800'],
    ['jsonb', `"${'x'.repeat(20_000)}"`],
    ['jsonb', `${'['.repeat(4_999)}${']'.repeat(4_999)}`],
    ['_int4', '{{1}}'],
    ['_int4', '[0:0]={1}'],
    ['_date', '{today}'],
    ['_other', '{1}'],
    ['_enum', '{a}'],
    ['name', 'x'.repeat(64)],
    ['bit', 'x1F'],
    ['money', '1'],
    ['timetz', '12:00'],
    ['pg_lsn', '0/'],
    ['macaddr8', '08:00:2b:01:02:03'],
    ['bytea', 'abc'],
    ['bytea', '\\x0'],
    ['oid', '-1'],
    ['oid', '01'],
    ['inet', '10.0.0.01'],
    ['inet', '::1'],
    ['cidr', '10/8'],
    ['macaddr', '08002b:010203'],
    ['macaddr', '08:00-2b:01:02:03'],
    ['time', '24:00:00'],
    ['time', '9:05'],
    ['time', '09:05+00'],
    ['citext', 'a'],
    ['other', 'a'],
    ['constructor', 'a'],
  ];
  for (const [type, text] of unknown) assert.equal(canonical(type, text), undefined, `${type} ${text}`);
});

test('canonical forms are ordered as the values are', () => {
  const rising: readonly (readonly [string, ...string[]])[] = [
    ['numeric', '-10', '-9.5', '-9', '0', '0.05', '0.5', '0.51', '9', '10', '100.01'],
    ['float8', '-Infinity', '-1', '0', '1e-3', '2', '10', 'Infinity', 'NaN'],
    ['timestamptz', '2024-01-01 00:00:00+01', '2024-01-01 00:00:00+00', '2024-01-01 00:00:00.5+00'],
    [
      'uuid',
      '00000000-0000-0000-0000-00000000000f',
      '10000000-0000-0000-0000-000000000000',
      'a0000000-0000-0000-0000-000000000000',
    ],
    ['time', '00:00', '09:59:59.5', '10:00'],
    ['float4', '-Infinity', '-1.5', '0', '0.1', '1e10', 'NaN'],
    ['interval', '-2 days', '-1 days', '00:00:00', '9 days', '10 days', '1 mon', '31 days'],
    ['pg_lsn', '0/9', '0/10', '0/FFFFFFFF', '1/0', 'A/0'],
    ['date', '0900-01-01', '2023-12-31', '2024-01-01'],
  ];
  for (const [type, ...texts] of rising) {
    const forms = texts.map((text) => canonical(type, text) ?? assert.fail(text));
    for (const [i, left] of forms.entries()) {
      for (const [j, right] of forms.entries())
        assert.equal(Math.sign(compareCanonical(type, left, right)), Math.sign(i - j), `${left} ${right}`);
    }
  }
});

test('array literals', () => {
  assert.deepEqual(parseArrayLiteral('{}'), []);
  assert.deepEqual(parseArrayLiteral(' { 1 , NULL,"NULL" ,"a,\\"b\\\\" } '), ['1', null, 'NULL', 'a,"b\\']);
  assert.deepEqual(parseArrayLiteral('{a b}'), ['a b']);
  assert.deepEqual(parseArrayLiteral('{""}'), ['']);
  for (const elements of [[], ['1', null, 'NULL', ''], ['a "b" \\\\ {c,d}']])
    assert.deepEqual(parseArrayLiteral(formatArrayLiteral(elements)), elements);
  for (const text of ['', '1', '{', '{1', '{1,}', '{,1}', '{{1},{2}}', '[0:1]={1,2}', '{"a}', '{1} 2', '{a\\,b}'])
    assert.equal(parseArrayLiteral(text), undefined, text);
});

test('text that UTF-8 can not hold is not told', () => {
  assert.equal(canonical('text', 'a\ud800'), undefined);
  assert.equal(canonical('varchar', '\u{1f600}'), '\u{1f600}');
});
