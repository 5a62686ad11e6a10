/**
 * The syntax tree as libpg-query gives it: objects whose upper-case key names the kind of a node (`{ ColumnRef: {…} }`),
 * except where a field can hold one kind only, and zeros, empty strings and false left out.
 *
 * It is typed loosely on purpose. The walks below must cope with kinds that they don't know, and the generated types (2 MB)
 * claim fields to be there that are not.
 */
export type Tree = { readonly [field: string]: unknown };

export function isTree(value: unknown): value is Tree {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** The node within, if it is of that kind. */
export function asKind(node: unknown, kind: string): Tree | undefined {
  if (!isTree(node)) return undefined;
  const inner = node[kind];
  return isTree(inner) ? inner : undefined;
}

export function asList(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}

export function asText(value: unknown): string {
  return typeof value === 'string' ? value : '';
}

/** The words of a list of String nodes, such as a qualified name. Other nodes (a star) end it as undefined. */
export function asWords(value: unknown): string[] | undefined {
  const words: string[] = [];
  for (const node of asList(value)) {
    const string = asKind(node, 'String');
    if (!string) return undefined;
    words.push(asText(string.sval));
  }
  return words;
}

/** Splits a qualified name; `words` are `[name]`, `[schema, name]` or `[database, schema, name]`. */
export function splitName(words: readonly string[]): { schema: string | undefined; name: string } {
  return { schema: words.at(-2), name: words.at(-1) ?? '' };
}

/** Whether an item of a list is written out into any number of items: `*`, `t.*`, `(composite).*`. */
export function isStar(value: unknown): boolean {
  const parts = asKind(value, 'ColumnRef')?.fields ?? asKind(value, 'A_Indirection')?.indirection;
  return asKind(asList(parts).at(-1), 'A_Star') !== undefined;
}

/** What is cast to `text` and nothing else, or the node itself: `'x'::text` is how the catalog prints a constant. */
export function withoutTextCast(node: unknown): unknown {
  const cast = asKind(node, 'TypeCast');
  const typeName = cast?.typeName;
  if (!isTree(typeName) || typeName.typmods !== undefined || typeName.arrayBounds !== undefined) return node;
  const words = asWords(typeName.names)?.join('.');
  return words === 'text' || words === 'pg_catalog.text' ? cast?.arg : node;
}

/**
 * The name of a setting of the application in the form in which PostgreSQL compares names: ASCII letters small, with a dot between
 * its parts (guc.c, `valid_custom_variable_name`). Undefined for any other, also those beyond ASCII.
 */
export function settingName(text: string): string | undefined {
  return /^[a-z_][\w$]*(?:\.[a-z_][\w$]*)+$/i.test(text) ? text.toLowerCase() : undefined;
}
