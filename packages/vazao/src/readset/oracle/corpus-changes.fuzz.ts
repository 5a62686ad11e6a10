/** Changes to anybody's tables: rows are copied, altered and removed by values that occur in the same columns. */
import type pg from 'pg';
import type { Catalog, CatalogTable } from '../catalog.ts';
import type { Choices } from './choices.fuzz.ts';
import { type Pools, poolOf } from './corpus-values.fuzz.ts';
import { literal } from './kinds.fuzz.ts';
import { type OracleChange, quote } from './oracle.fuzz.ts';

export type { Pools } from './corpus-values.fuzz.ts';

export interface SampledTable {
  readonly table: CatalogTable;
  /** Qualified and quoted. */
  readonly name: string;
  readonly columns: readonly SampledColumn[];
  readonly rows: readonly (readonly (string | null)[])[];
}

interface SampledColumn {
  readonly name: string;
  readonly type: string;
  readonly isWritable: boolean;
}

const ROWS_SAMPLED = 60;
const POOL_MAX = 300;
const VALUE_LENGTH_MAX = 2_000;

const COLUMNS = `
  select a.attname as name, format_type(coalesce(nullif(t.typbasetype, 0), a.atttypid), null) as type,
         a.attgenerated = '' and a.attidentity <> 'a' as is_writable
  from pg_attribute a join pg_type t on t.oid = a.atttypid
  where a.attrelid = $1 and a.attnum > 0 and not a.attisdropped order by a.attnum`;

export async function loadTables(
  client: pg.Client,
  catalog: Catalog,
): Promise<{ tables: SampledTable[]; pools: Pools }> {
  await client.query(`set timezone = 'UTC'`);
  const tables: SampledTable[] = [];
  const pools = new Map<string, string[]>();
  for (const table of catalog.tables) {
    if (table.kind !== 'table' || table.invisible !== undefined) continue;
    const name = `${quote(table.schema)}.${quote(table.name)}`;
    const { rows: found } = await client.query(COLUMNS, [table.oid]);
    const columns: SampledColumn[] = found.map((row) => ({
      name: row.name,
      type: row.type,
      isWritable: row.is_writable,
    }));
    if (columns.length === 0) continue;
    const list = columns.map((column) => `left(${quote(column.name)}::text, ${VALUE_LENGTH_MAX})`).join(', ');
    const { rows } = await client.query<(string | null)[]>({
      text: `select ${list} from ${name} limit ${ROWS_SAMPLED}`,
      rowMode: 'array',
    });
    tables.push({ table, name, columns, rows });
    for (const [at, { type }] of columns.entries()) {
      const pool = pools.get(poolOf(type)) ?? [];
      pools.set(poolOf(type), pool);
      for (const row of rows) {
        const value = row[at];
        if (pool.length < POOL_MAX && typeof value === 'string' && !pool.includes(value)) pool.push(value);
      }
    }
  }
  await client.query('reset timezone');
  return { tables, pools };
}

/** A change of one of the tables; now and then of any other. */
export function drawChangeOf(
  near: readonly SampledTable[],
  all: readonly SampledTable[],
  choices: Choices,
): OracleChange {
  const degrade = choices.pick(['none', 'none', 'none', 'none', 'none', 'none', 'no old row'] as const);
  return { sql: drawSql(choices.rarely(8) ? choices.pick(all) : choices.pick(near), choices), degrade };
}

function drawSql(table: SampledTable, choices: Choices): string {
  const row = table.rows.length > 0 ? choices.pick(table.rows) : undefined;
  if (!row) return insertSql(table, [], choices);
  switch (choices.number(12)) {
    case 0:
    case 1:
    case 2:
    case 3:
      return `update ${table.name} set ${assignments(table, choices)} where ${sameRow(table, row)}`;
    case 4:
      return `update ${table.name} set ${assignments(table, choices)} where ${sameValue(table, row, choices)}`;
    case 5:
    case 6:
      return `delete from ${table.name} where ${sameRow(table, row)}`;
    case 7:
      return `delete from ${table.name} where ${sameValue(table, row, choices)}`;
    case 8:
    case 9:
      return insertSql(table, row, choices);
    case 10:
      return `${insertSql(table, row, choices)};\n${insertSql(table, choices.pick(table.rows), choices)}`;
    default:
      return choices.rarely(3)
        ? `truncate ${table.name} cascade`
        : `update ${table.name} set ${assignments(table, choices)}`;
  }
}

/** The row by its key, or by all of it. */
function sameRow(table: SampledTable, row: readonly (string | null)[]): string {
  const key = table.table.uniqueKeys[0] ?? table.columns.map(({ name }) => name);
  return key
    .map((name) => {
      const value = row[table.columns.findIndex((column) => column.name === name)] ?? null;
      return value === null ? `${quote(name)} is null` : `${quote(name)}::text = ${literal(value)}`;
    })
    .join(' and ');
}

function sameValue(table: SampledTable, row: readonly (string | null)[], choices: Choices): string {
  const at = choices.number(table.columns.length);
  const name = quote((table.columns[at] as SampledColumn).name);
  const value = row[at] ?? null;
  return value === null ? `${name} is null` : `${name}::text = ${literal(value)}`;
}

function assignments(table: SampledTable, choices: Choices): string {
  const writable = table.columns.filter(({ isWritable }) => isWritable);
  if (writable.length === 0) return '(nothing) = 1'; // rejected: the change makes no case
  const columns = new Set([choices.pick(writable)]);
  if (choices.rarely(2)) columns.add(choices.pick(writable));
  return [...columns].map((column) => `${quote(column.name)} = ${valueFor(table, column, choices)}`).join(', ');
}

/** What another row has in the column; at times a little more, or nothing. */
function valueFor(table: SampledTable, column: SampledColumn, choices: Choices): string {
  const at = table.columns.indexOf(column);
  const value = table.rows.length > 0 ? (choices.pick(table.rows)[at] ?? null) : null;
  if (choices.rarely(8)) return 'null';
  if (value === null) return isNumber(column.type) ? String(choices.number(5)) : 'null';
  if (isNumber(column.type) && choices.rarely(3)) return `${literal(value)}::${column.type} + 1`;
  if (column.type === 'text' && choices.rarely(4)) return literal(`${value}x`);
  return literal(value);
}

function isNumber(type: string): boolean {
  return ['smallint', 'integer', 'bigint', 'numeric', 'double precision', 'real'].includes(type);
}

/** A copy of a row with a key of its own, and some values of other rows. */
function insertSql(table: SampledTable, row: readonly (string | null)[], choices: Choices): string {
  const key = new Set(table.table.uniqueKeys.flat());
  const list: string[] = [];
  const values: string[] = [];
  for (const [at, column] of table.columns.entries()) {
    if (!column.isWritable) continue;
    const isNew = key.has(column.name);
    if (
      isNew &&
      isNumber(column.type) &&
      table.table.uniqueKeys.some((one) => one.length === 1 && one[0] === column.name)
    )
      values.push(`(select coalesce(max(${quote(column.name)}), 0) + ${1 + choices.number(3)} from ${table.name})`);
    else if (isNew && column.type === 'text' && !choices.rarely(3))
      values.push(literal(`${row[at] ?? 'new'}${choices.number(9)}`));
    else if (isNew && column.type === 'uuid') values.push('gen_random_uuid()');
    else if (isNew || choices.rarely(3)) values.push(valueFor(table, column, choices));
    else values.push(row[at] === null || row[at] === undefined ? 'null' : literal(row[at]));
    list.push(quote(column.name));
  }
  return `insert into ${table.name} (${list.join(', ')}) values (${values.join(', ')})`;
}
