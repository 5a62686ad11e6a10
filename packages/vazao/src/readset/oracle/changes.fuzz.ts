/** Changes to the oracle's tables, with the rows that the feed would report for them. */
import type pg from 'pg';
import type { Catalog, CatalogTable } from '../catalog.ts';
import type { Change, Relation, Values } from '../change.ts';
import type { Choices } from './choices.fuzz.ts';
import { insertInto, type Kind, literal, type OracleTable, randomValue, TABLES, VALUES } from './schema.fuzz.ts';

export interface OracleWrite {
  readonly sql: string;
  readonly table: OracleTable;
  readonly kind: 'insert' | 'update' | 'delete' | 'truncate';
}

/** Mostly to tables that the statement reads: the rest would never change its answer. */
export function drawWrite(choices: Choices, tables: ReadonlySet<string>): OracleWrite {
  const all = TABLES.filter((table) => table.writable.length > 0);
  const read = all.filter((table) => tables.has(table.name));
  const table = choices.pick(read.length > 0 && !choices.rarely(6) ? read : all);
  const where = drawWhere(table, choices);
  switch (choices.number(8)) {
    case 0:
    case 1:
    case 2:
    case 3: {
      const columns = new Set([choices.pick(table.writable.slice(1)), choices.pick(table.writable.slice(1))]);
      if (choices.rarely(6)) columns.add('id');
      const sets = [...columns].map(
        (column) =>
          `${column} = ${column === 'id' ? `id + ${choices.pick(['100', '0'])}` : randomValue(table.columns[column] as Kind, choices)}`,
      );
      return { table, kind: 'update', sql: `update ${table.name} set ${sets.join(', ')}${where}` };
    }
    case 4:
    case 5:
      return { table, kind: 'delete', sql: `delete from ${table.name}${where}` };
    case 6:
      return { table, kind: 'insert', sql: insertInto(table, choices, 7 + choices.number(3)) };
    default:
      return choices.rarely(3)
        ? { table, kind: 'truncate', sql: `truncate ${table.name}` }
        : { table, kind: 'insert', sql: insertInto(table, choices, choices.number(6) + 10) };
  }
}

function drawWhere(table: OracleTable, choices: Choices): string {
  switch (choices.number(6)) {
    case 0:
    case 1:
    case 2:
      return ` where id = ${choices.number(6) + 1}`;
    case 3:
      return ` where k = ${choices.pick(VALUES.int)}`;
    case 4: {
      const column = choices.pick(table.writable);
      return ` where ${column} = ${literal(choices.pick(VALUES[table.columns[column] as Kind]))}`;
    }
    default:
      return '';
  }
}

/** Runs the write; returns what the feed would say of it. `degrade` blanks values as a feed with less knowledge would. */
export async function runWrite(
  client: pg.ClientBase,
  write: OracleWrite,
  catalog: Catalog,
  degrade: 'none' | 'no old row' | 'unknown value',
): Promise<Change[]> {
  const root = catalog.tables.find((table) => table.name === write.table.name) as CatalogTable;
  if (write.kind === 'truncate') {
    await client.query(write.sql);
    const affected = catalog.tables.filter((table) => table === root || table.ancestors.includes(root.oid));
    return affected.map((table) => ({ kind: 'all', relation: relationOf(table) }));
  }
  const names = root.columns.map((column) => column.name);
  const list = (side: string): string => `${side}.tableoid::int8, ${names.map((name) => `${side}.${name}`).join(', ')}`;
  const { rows } = await client.query<unknown[]>({
    text: `${write.sql} returning ${list('old')}, ${list('new')}`,
    rowMode: 'array',
    types: RAW,
  });
  const width = names.length + 1;
  return rows.flatMap((row): Change[] => {
    const oldTable = findTable(catalog, row[0]);
    const newTable = findTable(catalog, row[width]);
    const valuesOf = (table: CatalogTable, from: number): Values =>
      relationOf(table).columns.map((column) => {
        const at = names.indexOf(column);
        if (at === -1) return undefined;
        if (degrade === 'unknown value' && column === 'k') return undefined;
        return row[from + at] as string | null;
      });
    const deletion =
      oldTable && ({ kind: 'delete', relation: relationOf(oldTable), old: valuesOf(oldTable, 1) } as const);
    const insertion =
      newTable && ({ kind: 'insert', relation: relationOf(newTable), new: valuesOf(newTable, width + 1) } as const);
    // A row that moves to another partition is deleted there and inserted here.
    if (!deletion || !insertion || oldTable !== newTable)
      return [deletion, insertion].filter((change) => change !== undefined);
    return [
      {
        kind: 'update',
        relation: deletion.relation,
        old: degrade === 'no old row' ? undefined : deletion.old,
        new: insertion.new,
      },
    ];
  });
}

/** Values as the output functions print them, which is what the feed carries; a cast to text trims char(n). */
const RAW = { getTypeParser: () => (text: string) => text };

function findTable(catalog: Catalog, oid: unknown): CatalogTable | undefined {
  return oid === null || oid === undefined ? undefined : catalog.tables.find((table) => table.oid === Number(oid));
}

const relations = new Map<CatalogTable, Relation>();

/** The feed names the leaf, in the leaf's own order of columns, without generated ones. */
function relationOf(table: CatalogTable): Relation {
  let relation = relations.get(table);
  if (!relation) {
    const columns = table.columns.filter((column) => !column.generated).map((column) => column.name);
    relation = { oid: table.oid, schema: table.schema, name: table.name, columns };
    relations.set(table, relation);
  }
  return relation;
}
