import { hash } from 'node:crypto';
import type { Catalog, CatalogTable, DeclaredFunction } from '../readset/index.ts';

/** What processes that share answers must agree on. */
export interface Schema {
  /** Of the catalog, of what was declared of its functions, and of the settings that statements are understood by. */
  readonly hash: string;
  findTable(oid: number): CatalogTable | undefined;
  /** Everything that it shows was committed before; a feed that is not there yet may tell of rows of an older schema. */
  readonly position: bigint;
}

export function describeSchema(
  catalog: Catalog,
  declaredFunctions: readonly DeclaredFunction[],
  settings: readonly string[],
): Omit<Schema, 'position'> {
  const tables = new Map(catalog.tables.map((table) => [table.oid, table]));
  // The server lists what has no order of its own as it finds it.
  const parts = Object.entries(catalog).map(([name, value]) => [
    name,
    Array.isArray(value) && name !== 'searchPath' ? value.map((one) => JSON.stringify(one)).sort() : value,
  ]);
  const text = JSON.stringify([parts.sort(), declaredFunctions, settings]);
  return { hash: hash('sha256', text, 'base64url').slice(0, 16), findTable: (oid) => tables.get(oid) };
}
