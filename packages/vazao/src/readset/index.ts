/** Read sets: what an answer depends on, and whether a change of a row could alter it. No I/O. */
export {
  type Analyzer,
  type AnalyzerOptions,
  createAnalyzer,
  readAtLeisure,
  TEMPLATES_MAX_DEFAULT,
} from './analyzer.ts';
export { type BoundaryReader, createBoundaryReader, type TypeParsers } from './boundary.ts';
export { canonical } from './canonical.ts';
export type {
  Catalog,
  CatalogColumn,
  CatalogFunction,
  CatalogOperator,
  CatalogTable,
  CatalogType,
  Invisibility,
} from './catalog.ts';
export type { Change, Relation, Values } from './change.ts';
export { assertDeclared, type DeclaredFunction } from './declared-function.ts';
export { describePredicate, describeTerm } from './describe.ts';
export { type ExplainedTerm, explainTerms } from './explain.ts';
export { mentionsCurrentTime } from './inspect.ts';
export type { FindLongReading, LongReading } from './long-reading.ts';
export { orderKey } from './order-key.ts';
export { loadParser } from './parse.ts';
export type { Grain, Predicate, RangeOperator, ReadSet, Term } from './read-set.ts';
export { CURES, type Refusal, type RefusalCode } from './refusal.ts';
export type { ConditionTemplate, Template, TermTemplate } from './template.ts';
export type { TopN, TopRows } from './top-n.ts';
export { touches } from './touches.ts';
export {
  localSettingName,
  readTransactionControl,
  SESSION_SETTINGS,
  type SettingPart,
  type TransactionControl,
} from './transaction-control.ts';
