/** Which settings of the application an answer is for, and how a transaction sets them. */
import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import { createAnalyzer } from './analyzer.ts';
import { EXAMPLE_CATALOG } from './example-catalog.ts';
import { loadParser } from './parse.ts';
import { readTransactionControl } from './transaction-control.ts';

before(() => loadParser());

const READS: readonly (readonly [sql: string, settings: readonly string[]])[] = [
  ["select current_setting('app.tenant')", ['app.tenant']],
  [
    "select pg_catalog.current_setting('App.Tenant'::text, true), current_setting('app.zone')",
    ['app.tenant', 'app.zone'],
  ],
  ["select 1 from a where t = (select current_setting('app.tenant', true))", ['app.tenant']],
  ['select 1 from per_tenant', ['app.tenant']],
  ['select 1 from (select * from per_tenant) q where false', ['app.tenant']],
  ['select tenant_of(k) from a', ['app.tenant']],
  ['select 1 from a', []],
  ["select current_setting('TimeZone')", []],
];

for (const [sql, settings] of READS) {
  test(`reads the settings ${settings.join(', ') || '(none)'}: ${sql}`, () => {
    const template = createAnalyzer(EXAMPLE_CATALOG).template(sql);
    assert.equal(template.refusal, undefined);
    assert.deepEqual(template.settings, settings);
  });
}

const SET = { kind: 'set', isQuery: false, parameterCount: 0 };
const QUERY = { kind: 'set', isQuery: true };
const CONTROLS: readonly (readonly [sql: string, control: unknown])[] = [
  ['begin', { kind: 'begin', command: 'BEGIN' }],
  ['BEGIN TRANSACTION READ ONLY ; -- of a library', { kind: 'begin', command: 'BEGIN' }],
  ['start transaction isolation level read committed', { kind: 'begin', command: 'START' }],
  ['begin isolation level repeatable read', undefined],
  ['begin isolation level serializable, read only, deferrable', undefined],
  ['begin; select 1', undefined],
  ['commit', { kind: 'commit' }],
  ['end work', { kind: 'commit' }],
  ['commit and chain', undefined],
  ["commit prepared 'x'", undefined],
  ['rollback', { kind: 'rollback' }],
  ['abort', { kind: 'rollback' }],
  ['rollback to x', undefined],
  ['savepoint x', undefined],
  ["set local app.tenant = 'x'", { ...SET, settings: [{ name: 'app.tenant', value: 'x', column: '' }] }],
  ['set local app.tenant to 5', { ...SET, settings: [{ name: 'app.tenant', value: '5', column: '' }] }],
  ["set app.tenant = 'x'", undefined],
  ['set local app.tenant to default', undefined],
  [
    `set local search_path to x, "Ab", 'c"d'`,
    { ...SET, settings: [{ name: 'search_path', value: 'x, "Ab", "c""d"', column: '' }] },
  ],
  ['set local search_path to x, 5', undefined],
  ['set search_path = x', undefined],
  ['set local role X', { ...SET, settings: [{ name: 'role', value: 'x', column: '' }] }],
  ["set local time zone 'UTC'", { ...SET, settings: [{ name: 'timezone', value: 'UTC', column: '' }] }],
  ['set local time zone interval $$-3$$ hour to minute', undefined],
  ['set local time zone local', undefined],
  ['set local session authorization x', undefined],
  ["set local datestyle = 'German'", undefined],
  [
    "select set_config('app.tenant', $1, true)",
    { ...QUERY, parameterCount: 1, settings: [{ name: 'app.tenant', value: 1, column: 'set_config' }] },
  ],
  [
    "select pg_catalog.set_config($2::text, 'x', true) as was",
    { ...QUERY, parameterCount: 2, settings: [{ name: 2, value: 'x', column: 'was' }] },
  ],
  ["select set_config('app.tenant', $1, false)", undefined],
  ["select set_config('app.tenant', $1, $2)", undefined],
  [
    "select set_config('search_path', $1, true)",
    { ...QUERY, parameterCount: 1, settings: [{ name: 'search_path', value: 1, column: 'set_config' }] },
  ],
  ["select set_config('search_path', $1, false)", undefined],
  ["select set_config('row_security', $1, true)", undefined],
  ["select set_config('app.tenant', lower($1), true)", undefined],
  ["select set_config('app.tenant', $1, true) from a", undefined],
  ["select set_config('app.tenant', $1, true), 1", undefined],
  ["select set_config('app.tenant', 5, true)", undefined],
  ["select set_config('app.tenant', $1::text[], true)", undefined],
  ["select set_config('app.tenant', $1::my.text, true)", undefined],
  ["select set_config('app.1 x', $1, true)", undefined],
  ["select set_config('app.É', $1, true)", undefined],
  ["select my.set_config('app.tenant', $1, true)", undefined],
  [`select set_config('app.tenant', '${'x'.repeat(1_000)}', true)`, undefined],
  ['select 1', undefined],
  ['not sql', undefined],
  ['', undefined],
];

for (const [sql, control] of CONTROLS) {
  test(`${control ? 'a transaction does' : 'is no control'}: ${sql.slice(0, 80)}`, () => {
    assert.deepEqual(readTransactionControl(sql), control);
    assert.deepEqual(readTransactionControl(sql), control, 'remembered');
  });
}
