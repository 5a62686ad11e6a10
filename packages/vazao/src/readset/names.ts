/** Looks up names in the catalog as PostgreSQL does: by schema, else along the search path. */
import { asList, asWords, splitName, type Tree } from './ast.ts';
import { findFamily } from './canonical.ts';
import type { Catalog, CatalogColumn, CatalogFunction, CatalogOperator, CatalogTable, CatalogType } from './catalog.ts';
import type { DeclaredFunction } from './declared-function.ts';

export interface Names {
  readonly searchPath: readonly string[];
  /** `system` for a relation of `pg_catalog` or `information_schema`; undefined when there is none. */
  findTable(schema: string | undefined, name: string): CatalogTable | 'system' | undefined;
  /** Why rows that a scan of the table reads would not be seen through the feed: its own reason or that of a descendant. */
  findInvisible(
    table: CatalogTable,
  ): { readonly table: CatalogTable; readonly reason: NonNullable<CatalogTable['invisible']> } | undefined;
  /** All overloads that a call may mean. */
  findFunctions(schema: string | undefined, name: string): readonly CatalogFunction[];
  /** Operators outside of `pg_catalog` that an expression may mean. */
  findOperators(schema: string | undefined, name: string): readonly CatalogOperator[];
  /** Whether USING surely means PostgreSQL's `=`. In a view, as it is printed, any schema's may have been meant. */
  readonly isEqualityBuiltin: boolean;
  /** The base type that a TypeName means; undefined when it can't be told. */
  findType(
    typeName: Tree,
  ): { readonly base: string; readonly isArray: boolean; readonly hasModifier: boolean } | undefined;
  /** A type that is not in `pg_catalog`. */
  findOwnType(words: readonly string[]): CatalogType | undefined;
  findColumn(table: CatalogTable, name: string): CatalogColumn | undefined;
  /** What the application has declared of a function. */
  findDeclared(schema: string, name: string): DeclaredFunction | undefined;
  /** The same catalog seen along another path. */
  withSearchPath(searchPath: readonly string[]): Names;
}

/** Those that change while the row does not: by VACUUM, and by locks. */
export const SYSTEM_COLUMNS: ReadonlySet<string> = new Set(['ctid', 'xmin', 'xmax', 'cmin', 'cmax']);

export function systemColumn(name: string): string {
  return `${name} changes without any change of the row; read a column of your own instead.`;
}

const SYSTEM_SCHEMAS: ReadonlySet<string> = new Set(['pg_catalog', 'information_schema', 'pg_toast']);

export function createNames(catalog: Catalog, declaredFunctions: readonly DeclaredFunction[]): Names {
  const tables = group(catalog.tables, (table) => `${table.schema}.${table.name}`);
  const functions = group(catalog.functions, (entry) => entry.name);
  const operators = group(catalog.operators, (entry) => entry.name);
  const types = group(catalog.types, (entry) => `${entry.schema}.${entry.name}`);
  const declared = new Map(declaredFunctions.map((entry) => [entry.name, entry]));
  const columns = new WeakMap<CatalogTable, ReadonlyMap<string, CatalogColumn>>();
  const hiddenDescendants = new Map<number, CatalogTable>();
  for (const table of catalog.tables) {
    // A scan of the parent applies the parent's row security only.
    if (table.invisible === undefined || table.invisible === 'row-security') continue;
    for (const ancestor of table.ancestors)
      if (!hiddenDescendants.has(ancestor)) hiddenDescendants.set(ancestor, table);
  }

  const create = (searchPath: readonly string[]): Names => ({
    searchPath,
    isEqualityBuiltin: !operators.get('=')?.some((operator) => operator.mayTakeOver),
    findTable(schema, name) {
      if (schema !== undefined) {
        if (SYSTEM_SCHEMAS.has(schema)) return 'system';
        return tables.get(`${schema}.${name}`)?.[0];
      }
      // All relations of pg_catalog, and none that we would care to allow elsewhere, begin so.
      if (name.startsWith('pg_')) return 'system';
      for (const schema of searchPath) {
        const table = tables.get(`${schema}.${name}`)?.[0];
        if (table) return table;
        if (schema === 'information_schema') return 'system'; // its relations are not listed: any name may be one of them
      }
      return undefined;
    },
    findInvisible(table) {
      if (table.invisible !== undefined) return { table, reason: table.invisible };
      const descendant = hiddenDescendants.get(table.oid);
      return descendant?.invisible === undefined ? undefined : { table: descendant, reason: descendant.invisible };
    },
    findFunctions(schema, name) {
      const all = functions.get(name) ?? [];
      return all.filter((entry) =>
        schema === undefined ? searchPath.includes(entry.schema) : entry.schema === schema,
      );
    },
    findOperators(schema, name) {
      const all = operators.get(name) ?? [];
      return all.filter((entry) =>
        schema === undefined ? searchPath.includes(entry.schema) : entry.schema === schema,
      );
    },
    findType(typeName) {
      const words = asWords(typeName.names);
      if (!words || words.length === 0 || words.length > 2 || typeName.setof || typeName.pct_type) return undefined;
      const { schema, name } = splitName(words);
      const isArray = asList(typeName.arrayBounds).length > 0;
      const hasModifier = asList(typeName.typmods).length > 0;
      for (const candidate of schema === undefined ? searchPath : [schema]) {
        if (candidate === 'pg_catalog') {
          // Types of pg_catalog are not listed; those of a family are known by name, and nothing else matters here.
          const isList = name.startsWith('_');
          const base = isList ? name.slice(1) : name;
          if (findFamily(base) && base !== 'enum') return { base, isArray: isArray || isList, hasModifier };
        }
        const type = types.get(`${candidate}.${name}`)?.[0];
        if (type) {
          const isKnown = type.base === 'enum' || (type.isFaithful && findFamily(type.base) && !isArray);
          if (!isKnown) return undefined;
          const isList = type.base.startsWith('_');
          return { base: isList ? type.base.slice(1) : type.base, isArray: isArray || isList, hasModifier };
        }
      }
      return undefined;
    },
    findOwnType(words) {
      const { schema, name } = splitName(words);
      for (const candidate of schema === undefined ? searchPath : [schema]) {
        const type = types.get(`${candidate}.${name}`)?.[0];
        if (type) return type;
      }
      return undefined;
    },
    findColumn(table, name) {
      let byName = columns.get(table);
      if (!byName) {
        byName = new Map(table.columns.map((column) => [column.name, column]));
        columns.set(table, byName);
      }
      return byName.get(name);
    },
    findDeclared: (schema, name) =>
      declared.get(`${schema}.${name}`) ?? (schema === 'pg_catalog' ? undefined : declared.get(name)),
    withSearchPath: create,
  });
  return create(catalog.searchPath);
}

function group<T>(entries: readonly T[], keyOf: (entry: T) => string): ReadonlyMap<string, readonly T[]> {
  const groups = new Map<string, T[]>();
  for (const entry of entries) {
    const key = keyOf(entry);
    const found = groups.get(key);
    if (found) found.push(entry);
    else groups.set(key, [entry]);
  }
  return groups;
}
