/** What is refused, with which code, and whether it may still run inside a fill. */
import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import { type Analyzer, createAnalyzer } from './analyzer.ts';
import { assertDeclared, type DeclaredFunction } from './declared-function.ts';
import { describeTerm } from './describe.ts';
import { EXAMPLE_CATALOG } from './example-catalog.ts';
import { loadParser } from './parse.ts';
import type { RefusalCode } from './refusal.ts';

let analyzer: Analyzer;
before(async () => {
  await loadParser();
  analyzer = createAnalyzer(EXAMPLE_CATALOG);
});

/** Of many operators, and nothing in it repeats. */
const CHAIN = Array.from({ length: 5_000 }, (_, n) => `c${n}`).join('+');

const REFUSED: readonly (readonly [sql: string, code: RefusalCode, pure: boolean])[] = [
  ['selec 1', 'syntax', false],
  ['', 'syntax', false],
  ['-- nothing', 'not-one-statement', false],
  ['select 1; select 2', 'not-one-statement', false],
  ['select 1; set search_path = x', 'session-setting', false],
  ['insert into a values (1)', 'write', false],
  ['update a set k = 1', 'write', false],
  ['delete from a', 'write', false],
  ['merge into a using b on true when matched then delete', 'write', false],
  ['select * into x from a', 'write', false],
  ['with q as (delete from a returning *) select * from q', 'write', false],
  ['begin', 'transaction', false],
  ['commit', 'transaction', false],
  ['savepoint x', 'transaction', false],
  ['set statement_timeout = 1', 'session-setting', false],
  ['reset all', 'session-setting', false],
  ['discard all', 'session-setting', false],
  ['listen x', 'session-setting', false],
  ["select set_config('a.b', '', false)", 'session-setting', false],
  ['explain select 1', 'command', false],
  ['show all', 'command', false],
  ['call x()', 'command', false],
  ['do $$ begin end $$', 'command', false],
  ['create table x (y int)', 'command', false],
  ['select * from a for update', 'lock', false],
  ['select * from (select * from a for share) q', 'lock', false],
  ['select random()', 'volatile-function', false],
  ["select nextval('x')", 'volatile-function', false],
  ['select clock_timestamp()', 'volatile-function', false],
  ["select 1 from a where pg_notify('x', '') is null", 'volatile-function', false],
  ['select volatile_one()', 'volatile-function', false],
  ['select volatile_one(k) over () from a', 'volatile-function', false],
  ['select other.lower(t) from a', 'volatile-function', false],
  ['select stable_one()', 'function', true],
  ["select pg_table_size('a')", 'function', true],
  ['select missing(1)', 'unknown-function', false],
  ['select (a).volatile_one from a', 'volatile-function', false],
  ['select a.volatile_one from a', 'unsupported', false],
  ['select a.with_default from a', 'unsupported', false],
  ['select q.volatile_one from (select 1 as x) q', 'unsupported', false],
  ["select current_setting('app.tenant'::varchar(5))", 'session-function', true],
  ["select current_setting('app.É')", 'session-function', true],
  ["select current_setting('work_mem')", 'session-function', true],
  ["select current_setting('search' || '_path')", 'session-function', true],
  ['select current_setting($1)', 'session-function', true],
  // Functions in SQL are looked into.
  ['select draws()', 'volatile-function', false],
  ['select two_steps()', 'not-one-statement', false],
  ['select calls_itself()', 'function', false],
  ['select with_default()', 'volatile-function', false],
  ['select sometimes(1)', 'function', true],
  ['select hidden_count()', 'unlogged', true],
  // IMMUTABLE is only what somebody has written.
  ['select opaque(1)', 'function', true],
  ['select total_opaque(k) from a', 'function', true],
  ['select 1 #!# 2', 'function', true],
  ['select a.doubles from a', 'unsupported', false],
  ['select (a).opaque from a', 'function', true],
  // Row-level security, of which more can be said than that it is there.
  ['select 1 from through_owner', 'row-security', true],
  ['select 1 <=> 2', 'operator', true],
  ['select 1 from a where 1 @@@ 2', 'operator', false],
  ['select 1 from missing', 'unknown-table', false],
  ['select 1 from other.missing', 'unknown-table', false],
  ['select ctid from a', 'system-column', true],
  ['select a.xmin from a', 'system-column', true],
  ['select 1 from a tablesample system (1)', 'sample', true],
  ['select 1 from a tablesample system (1) repeatable (1)', 'sample', true],
  ["select 'a'::regclass", 'catalog-cast', true],
  ['select 1 from pg_class', 'system', true],
  ['select 1 from pg_catalog.pg_class', 'system', true],
  ['select 1 from information_schema.tables', 'system', true],
  ['select 1 from unlogged', 'unlogged', true],
  ['select 1 from temporary', 'temporary', true],
  ['select 1 from a where exists (select 1 from "foreign")', 'foreign', true],
  ['select 1 from materialized_view', 'materialized-view', true],
  ['select 1 from sequence', 'sequence', true],
  ['select 1 from row_security', 'row-security', true],
  ['select 1 from unpublished', 'unpublished', true],
  ['select 1 from spoilt', 'unlogged', true],
  ['select 1 from hidden', 'unlogged', true],
  ['select 1 from endless', 'too-complex', false],
  ['with recursive a as (select 1), b as (select 1 from unlogged) select 1 from a, b', 'unlogged', true],
  // In a plain WITH, an item does not see itself.
  ['with unlogged as (select 1 from unlogged) select 1 from unlogged', 'unlogged', true],
  [`select ${CHAIN}`, 'too-complex', false],
  // What looks like a literal may be none.
  [`select "'", ${CHAIN}, "'" from a`, 'too-complex', false],
  [`select 1 /* ' */ + ${CHAIN} -- '`, 'too-complex', false],
  [`select e'\\'', ${CHAIN}, e'\\''`, 'too-complex', false],
  [`select $$'$$, ${CHAIN}, $$'$$`, 'too-complex', false],
  [`select ${'(select '.repeat(1_000)}1${')'.repeat(1_000)}`, 'too-complex', false],
  [`select ${'(select '.repeat(5_000)}1${')'.repeat(5_000)}`, 'too-complex', false],
  [`select 1 from a where t in ('today', '${'x'.repeat(600_000)}')`, 'too-complex', false],
  [`select 1 from a where id in (${Array(120_000).fill(1234)})`, 'too-complex', false],
];

for (const [sql, code, pure] of REFUSED) {
  test(`${code}: ${sql.slice(0, 80)}`, () => {
    const template = analyzer.template(sql);
    assert.equal(template.refusal?.code, code);
    assert.equal(template.pure, pure);
    assert.match(template.refusal?.detail ?? '', /\.$/);
  });
}

test('under a setting that changes the meaning of statements, none is understood', () => {
  const analyzer = createAnalyzer({ ...EXAMPLE_CATALOG, unusualSettings: ['transform_null_equals = on'] });
  const { refusal, pure } = analyzer.template('select id from a where k = null');
  assert.deepEqual([refusal?.code, pure], ['setting', false]);
  assert.match(refusal?.detail ?? '', /^transform_null_equals = on: /);
});

test('what is the same in all sessions of a pool may be read', () => {
  for (const sql of [
    'select current_user, session_user, current_role, user, current_catalog, current_schema',
    'select current_schema(), current_database(), version()',
    "select current_setting('search_path'), current_setting('TimeZone', true), current_setting('server_version_num')",
  ]) {
    const template = analyzer.template(sql);
    assert.equal(template.refusal, undefined);
    assert.equal(template.bind([]).usesTime, false);
  }
});

test('a cast by a function that may depend on more than its argument may be meant anywhere', () => {
  const types = { source: 'text', target: 'integer', schema: 'public' };
  const refusalOf = (
    name: string,
    volatility: 'immutable' | 'stable',
    declaredFunctions: readonly DeclaredFunction[] = [],
  ): RefusalCode | undefined => {
    const unsureCasts = [{ ...types, function: name, volatility }];
    const analyzer = createAnalyzer({ ...EXAMPLE_CATALOG, unsureCasts }, { declaredFunctions });
    return analyzer.template('select 1 from a where k = t').refusal?.code;
  };
  assert.equal(refusalOf('stable_one', 'stable'), 'function');
  assert.equal(refusalOf('stable_one', 'stable', [{ name: 'stable_one', reads: 'arguments' }]), undefined);
  for (const name of ['opaque', 'reads_c']) assert.equal(refusalOf(name, 'immutable'), 'function', name);
  for (const name of ['doubles', 'pure_one']) assert.equal(refusalOf(name, 'immutable'), undefined, name);
  assert.equal(refusalOf('opaque', 'immutable', [{ name: 'opaque', reads: 'arguments' }]), undefined);
});

const declare = (name: string, reads: 'arguments' | readonly string[] = 'arguments') =>
  createAnalyzer(EXAMPLE_CATALOG, { declaredFunctions: [{ name, reads }] });

test('a declared function is trusted for what it declares', () => {
  for (const [name, sql] of [
    ['stable_one', 'select stable_one()'],
    ['public.volatile_one', 'select volatile_one()'],
    // Neither its body nor its default arguments are looked at.
    ['draws', 'select draws()'],
    ['reads_c', 'select reads_c(1)'],
    ['opaque', 'select opaque(1)'],
    ['total_opaque', 'select total_opaque(k) from (values (1)) v (k)'],
    ['with_default', 'select with_default()'],
  ] as const) {
    const template = declare(name).template(sql);
    assert.deepEqual([template.refusal, template.pure, template.terms], [undefined, true, []], sql);
  }
  // Only what is named, and only in its schema.
  assert.equal(declare('other.stable_one').template('select stable_one()').refusal?.code, 'function');
  assert.equal(declare('random').template('select random()').refusal?.code, 'volatile-function');
});

test('a declared function that reads tables depends on all of them', () => {
  const { refusal, bind } = declare('stable_one', ['public.b', 'v']).template(
    'select t, stable_one() from a where id = 1',
  );
  assert.equal(refusal, undefined);
  assert.deepEqual(bind([]).terms.map(describeTerm), [
    'a (id, t) where id in (1)',
    'b (*)',
    'a (id, k) where k in (1)',
  ]);
  for (const [table, code] of [
    ['unlogged', 'unlogged'],
    ['missing', 'unknown-table'],
    ['pg_class', 'system'],
  ] as const) {
    assert.equal(declare('stable_one', [table]).template('select stable_one()').refusal?.code, code);
  }
});

test('a declaration that says nothing is an error', () => {
  const check = (name: string, reads: unknown) => () => assertDeclared([{ name, reads } as DeclaredFunction]);
  check('f', 'arguments')();
  check('s.f', ['t', 's.t'])();
  assert.throws(check('a.b.c', []), /"a\.b\.c" is no function/);
  assert.throws(check('f', ['']), /f reads "", which is no table/);
  assert.throws(check('f', 'tables'), /f must say what it reads/);
});

const TIMES: readonly (readonly [sql: string, usesTime: boolean, parameters?: readonly unknown[]])[] = [
  ['select now()', true],
  ['select current_date', true],
  ['select localtimestamp', true],
  ['select age(ts) from a', true],
  ['select age(ts, ts) from a', false],
  ["select 1 from a where ts > 'today'", true],
  // Put together, or taken apart.
  ["select ('to' || 'day')::date from a", true],
  ["select concat('to', 'day')::date from a", true],
  ["select (extract(year from d) || '-01-01')::date from a", false],
  ["select to_char(d, 'YYYY-MM-01')::date from a", false],
  ["select '{to\\day}'::date[] from a", true],
  ['select 1 from a where d <@ \'[to"day",)\'::daterange', true],
  ['select $1::daterange from a', true, ['[to"day",)']],
  ["select ($1 || '-01')::date from a", true, ['2024-02']],
  ["select ' YESTERDAY 12:00'::timestamptz", true],
  ["select 'knowledge'", false],
  ["select date_trunc('day', ts), to_char(ts, 'YYYY') from a", false],
  ['select 1 from clock', true],
  // Text of a column may hold the word.
  ['select t::date from a', true],
  ['select date(t) from a', true],
  ["select (j ->> 'at')::timestamptz from a", true],
  ['select coalesce(t, b)::timestamp from a', true],
  ['select x::date from (select lower(t) as x from a) q', true],
  ["select lower(t)::date from a where t = 'x'", true],
  ['select r.d from a, json_to_recordset(a.j) as r(d date)', true],
  ["select json_value(j, '$.at' returning date) from a", true],
  ['select ts::date, l::timestamptz, d::timestamp from a', false],
  ["select date_trunc('day', ts)::date, max(k)::text::int from a group by 1", false],
  ['select x::date from (select max(ts) as x from a) q', false],
  ['select x::date from (select ts as x from a union select d from a) q', false],
  ["select s::date, s.s::date from generate_series('2024-01-01'::date, '2024-02-01', '1 day') s", false],
  ["select x::date from a, generate_series(a.d, a.d, '1 day') s(x)", false],
  ['select x::date from a, regexp_split_to_table(a.t, $$,$$) s(x)', true],
  ["select t, '2024-01-01'::date from a", false],
  ['select $1::date', true, ['today']],
  ['select $1::text::date', true, ['today']],
  ['select $1::text::date', false, ['2024-01-01']],
  ['select reads_a()::date', true],
  ['select r::date from reads_a() r', true],
  ['select to_day(t) from a', true],
  ['select reads_clock()', true],
  ['select later()', true],
  ['select reads_b(1)', false],
  ['select at from zoned', true],
  // A time of day is cast to timetz, by the offset of today.
  ["select at at time zone 'America/New_York' from hours", true],
  ['select at at local from hours', true],
  ["select timezone('UTC', at) from hours", true],
  ["select (at + span) at time zone 'UTC' from hours", true],
  ["select max(at) at time zone 'UTC' from hours", true],
  ["select coalesce(at, '12:00') at time zone 'UTC' from hours", true],
  ["select q.x at time zone 'UTC' from (select at as x from hours) q", true],
  ["select ts at time zone 'UTC' at time zone 'America/Sao_Paulo', l at local, d at time zone 'UTC' from a", false],
  ["select date_trunc('day', ts) at time zone 'UTC', (l - interval '1 day') at time zone 'UTC' from a", false],
  ["select max(ts) at time zone 'UTC', coalesce(ts, l) at time zone 'UTC' from a", false],
  ["select x at time zone 'UTC' from (select ts as x from a) q", false],
  ["select '2024-01-01 12:00' at time zone 'UTC', $1 at time zone 'UTC'", false, ['2024-01-01']],
  ["select t::timestamp at time zone 'UTC' from a where t = 'x'", true],
  ["select jsonb_path_query_tz(j, '$.at.time_tz()') from a", true],
  // Text that is read as a row or a range may hold a date.
  ['select (t::dated).d from a', true],
  ['select t::dated[] from a', true],
  ['select t::day from a', true],
  ['select r.x from a, jsonb_to_record(j) as r(x dated)', true],
  ["select json_value(j, '$.x' returning dated) from a", true],
  ['select (t::pair).d from a', false],
  ["select '(2024-01-01)'::dated", false],
  ["select '(today)'::dated", true],
  ["select '(12:00)'::zoned_pair", true],
  ['select 1 from a where ts > $1', true, ['tomorrow']],
  ['select 1 from a where ts > $1', false, ['2024-01-01 00:00:00Z']],
  ['select 1 from a where t = $1', false, ['now']],
  ['select lower($1)', true, ['{now}']],
];

for (const [sql, usesTime, parameters = []] of TIMES) {
  test(`${usesTime ? 'uses' : 'does not use'} the current time: ${sql} ${parameters}`, () => {
    const template = analyzer.template(sql);
    assert.equal(template.refusal, undefined);
    assert.equal(template.bind(parameters).usesTime, usesTime);
  });
}
