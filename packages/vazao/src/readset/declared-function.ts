/** Functions for which the application vouches. PostgreSQL shows no more of them than their volatility. */

/**
 * What a function that the analysis can't see through depends on: one that is not written in SQL, whatever its volatility. It is trusted
 * for what is declared: it writes nothing, changes nothing of the session, and its result depends on nothing but its
 * arguments and the tables that are named (not on the time, not on who is connected).
 */
export interface DeclaredFunction {
  /** `schema.name`, with all overloads; or `name`, in any schema but `pg_catalog`. Spelt as in the catalog. */
  readonly name: string;
  /** Nothing but its arguments, or these tables and views besides (`schema.name`), of which any change matters. */
  readonly reads: 'arguments' | readonly string[];
}

/** A statement for each table, whose read set is all of it: what the function reads of them is not known. */
export function readsOf({ reads }: DeclaredFunction): readonly string[] {
  return reads === 'arguments' ? [] : reads.map((table) => `TABLE ${table.split('.').map(quote).join('.')}`);
}

const NAME = /^[^.]+(?:\.[^.]+)?$/;

/** Throws a TypeError that names what is wrong. */
export function assertDeclared(functions: readonly DeclaredFunction[]): void {
  for (const { name, reads } of functions) {
    if (!NAME.test(name)) throw new TypeError(`declaredFunctions: "${name}" is no function; write schema.name.`);
    if (reads === 'arguments') continue;
    if (!Array.isArray(reads)) {
      throw new TypeError(`declaredFunctions: ${name} must say what it reads: 'arguments', or a list of tables.`);
    }
    const wrong = reads.find((table) => !NAME.test(table));
    if (wrong !== undefined) {
      throw new TypeError(`declaredFunctions: ${name} reads "${wrong}", which is no table; write schema.name.`);
    }
  }
}

function quote(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}
