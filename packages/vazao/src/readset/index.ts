/** Read sets: what an answer depends on, and whether a change of a row could alter it. No I/O. */
export type { Catalog, CatalogColumn, CatalogFunction, CatalogOperator, CatalogTable, CatalogType, Invisibility } from './catalog.ts';
export type { Change, Relation, Values } from './change.ts';
