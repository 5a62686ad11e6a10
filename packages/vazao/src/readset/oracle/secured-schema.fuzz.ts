/**
 * Schemas in which what a statement means depends on who asks, and where: row-level security, views of several owners,
 * functions that PostgreSQL writes into the statement, tables of one name in two schemas.
 */
import type { Choices } from './choices.fuzz.ts';
import { definitionsOf } from './drawn-schema.fuzz.ts';
import { type OracleSchema, type OracleTable, table } from './schema.fuzz.ts';
import { KEEPER, READER, SESSION_VALUES, TEAM } from './session.fuzz.ts';

const COLUMNS = { id: 'int', k: 'int', t: 'text', owner: 'role', at: 'timestamptz' } as const;
const LIST = 's.id, s.k, s.t, s.owner, s.at';
const READ_ONLY = { isFilled: false, isWritable: false } as const;

export function drawSecuredSchema(choices: Choices): OracleSchema {
  const ddl: string[] = [
    'create schema shop',
    'create table allowed (id int, k int)',
    'create table shop.allowed (id int, k int)',
  ];
  const tables: OracleTable[] = ['allowed', 'shop.allowed'].map((name) => table(name, { id: 'int', k: 'int' }, {}));
  const functions = drawFunctions(ddl, choices);
  for (const name of ['public.t0', 'shop.t0', 'public.t1', 'shop.t2'].slice(0, 2 + choices.number(3))) {
    ddl.push(`create table ${name} (${definitionsOf(COLUMNS).join(', ')})`);
    if (choices.rarely(4)) ddl.push(`alter table ${name} add primary key (id)`);
    if (!choices.rarely(4)) secure(name, tables, ddl, choices);
    tables.push(table(name, COLUMNS, {}));
    if (choices.rarely(4)) {
      ddl.push(`create table ${name}_child (x int) inherits (${name})`);
      if (choices.rarely(2)) secure(`${name}_child`, [], ddl, choices);
      tables.push(table(`${name}_child`, { ...COLUMNS, x: 'int' }, {}));
    }
  }
  for (let at = 0; at < 1 + choices.number(4); at++) drawView(`v${at}`, tables, ddl, choices);
  if (choices.rarely(2)) drawTableFunction(tables, ddl, choices);
  // By the name that means one or the other.
  tables.push(table('t0', COLUMNS, { isFilled: false }));
  ddl.push(
    'grant usage on schema public, shop to public',
    'grant select on all tables in schema public, shop to public',
  );
  const path = choices.rarely(5)
    ? drawOperator(ddl)
    : choices.pick(['public', 'shop, public', 'public, shop', 'shop, pg_catalog, public']);
  const settings = [`set search_path = ${path}`, ...(choices.rarely(3) ? [] : [`set app.tenant = 'a'`])];
  if (choices.rarely(16)) settings.push(`set ${choices.pick(['transform_null_equals = on', 'array_nulls = off'])}`);
  return { ddl, tables, functions, session: { role: READER, settings }, sessionValues: SESSION_VALUES };
}

/** One that is found before PostgreSQL's own; returns the search path. */
function drawOperator(ddl: string[]): string {
  ddl.push(
    `create function public.alike(a text, b text) returns bool language sql immutable return lower(a) operator(pg_catalog.=) lower(b)`,
    'create operator public.= (leftarg = text, rightarg = text, function = public.alike)',
  );
  return 'public, pg_catalog, shop';
}

/** Of one integer argument. Names without a schema are looked up when they run. */
function drawFunctions(ddl: string[], choices: Choices): string[] {
  const how = (): string =>
    choices.pick(['stable', 'stable', 'stable', 'stable security definer', 'stable set search_path = public']);
  ddl.push(
    `create function public.half(x int) returns int language sql immutable return x / 2`,
    `create function shop.half(x int) returns int language sql ${choices.pick(['immutable', 'stable', 'volatile'])} as 'select x / 2 + 1'`,
    `create function count_k(x int) returns bigint language sql ${how()} as 'select count(*) from allowed where k = x'`,
    `create function count_id(x int) returns bigint language sql ${how()} begin atomic select count(*) from shop.allowed where id = x; end`,
    `create function may_see(x int) returns boolean language sql ${how()} as 'select exists (select from allowed where k = x or id = 1)'`,
    `create function tenant(x int) returns text language sql stable as $$ select current_setting('app.tenant', true) $$`,
    `create function zone_of(x int) returns text language sql stable as $$ select current_setting('TimeZone') || current_user $$`,
    `create function later(x int, y text default current_setting('app.tenant', true)) returns int language sql immutable as 'select x + length(y)'`,
  );
  return ['half', 'shop.half', 'count_k', 'count_id', 'may_see', 'tenant', 'zone_of', 'later'];
}

/** A policy reads only tables before its own: two that read each other are an error. */
function secure(name: string, before: readonly OracleTable[], ddl: string[], choices: Choices): void {
  const self = name.split('.').at(-1);
  ddl.push(`alter table ${name} enable row level security`);
  if (choices.rarely(5)) ddl.push(`alter table ${name} owner to ${choices.pick([READER, KEEPER])}`);
  if (choices.rarely(5)) ddl.push(`alter table ${name} force row level security`);
  for (let at = 0; at < 1 + choices.number(3); at++) {
    const other = before.length > 0 ? choices.pick(before).name : 'allowed';
    const condition = choices.pick([
      'owner = current_user',
      `owner = session_user or k > 1`,
      'k > 1',
      'id <> 2',
      't is not null',
      'true',
      `k in (select o.id from ${other} o)`,
      `exists (select from ${other} o where o.k = ${self}.id and o.id > 1)`,
      'may_see(k)',
      'count_k(id) > 0',
      'count_id(k) = 0',
      'half(k) = 1',
      `current_setting('TimeZone') <> 'UTC' and k = 1`,
      `t = current_setting('app.tenant', true)`,
      't = tenant(k)',
    ]);
    const kind = choices.pick(['permissive', 'permissive', 'permissive', 'restrictive']);
    const command = choices.pick(['select', 'select', 'all', 'update']);
    const role = choices.pick(['public', 'public', READER, TEAM, KEEPER]);
    ddl.push(`create policy p${at} on ${name} as ${kind} for ${command} to ${role} using (${condition})`);
  }
}

function drawView(name: string, tables: OracleTable[], ddl: string[], choices: Choices): void {
  const sources = tables.filter(({ columns }) => 'owner' in columns);
  const source = choices.pick(sources).name;
  const options = choices.pick([
    '',
    ' with (security_barrier)',
    ' with (security_invoker)',
    ' with (security_invoker)',
    ' with (security_barrier, security_invoker)',
  ]);
  const condition = choices.pick([
    '',
    ' where s.owner = current_user',
    ' where s.k > 0',
    ' where may_see(s.k)',
    ` where s.t = current_setting('app.tenant', true)`,
    ` where s.id in (select o.k from ${choices.pick(tables).name} o)`,
  ]);
  ddl.push(`create view ${name}${options} as select ${LIST} from ${source} s${condition}`);
  const owner = choices.pick([undefined, KEEPER, READER, READER]);
  if (owner) ddl.push(`grant create on schema public to ${owner}`, `alter view ${name} owner to ${owner}`);
  tables.push(table(name, COLUMNS, READ_ONLY));
}

/** Written into FROM in place of its call. */
function drawTableFunction(tables: OracleTable[], ddl: string[], choices: Choices): void {
  const source = choices.pick(tables.filter(({ columns }) => 'owner' in columns)).name;
  ddl.push(
    `create function rows_of(x int) returns table (id int, k int, t text, owner text, at timestamptz) language sql stable as
     'select ${LIST} from ${source} s where s.k = x'`,
  );
  for (const argument of [1, 2]) tables.push(table(`rows_of(${argument})`, COLUMNS, READ_ONLY));
}
