/**
 * An answer as JSON can hold it. What comes back is checked piece by piece: whoever can write to Redis, or an older release,
 * may have written anything. `v8.deserialize` is left aside for that: it is not made for input that may be hostile.
 */
import type { ReadSnapshot } from '../../feed/index.ts';
import type { CatalogTable, Predicate, RangeOperator, Term } from '../../readset/index.ts';
import type { StatementRecord } from '../entry.ts';

/** What an answer says of itself beside its value. */
export interface EntryFacts {
  /** Under which it stands in Redis. */
  readonly name: string;
  readonly statements: readonly StatementRecord[];
  readonly snapshot: ReadSnapshot | undefined;
  /** Everything that the snapshot sees was committed before. */
  readonly snapshotPosition: bigint;
  /** Every commit up to here was tried. */
  readonly position: bigint;
  readonly usesTime: boolean;
}

const LIST_MAX = 100_000;

export function toJson(facts: EntryFacts): unknown {
  const { snapshot } = facts;
  return {
    name: facts.name,
    statements: facts.statements.map(({ text, terms, durationMs, rows }) => ({
      text,
      durationMs,
      rows,
      terms: terms.map(termToJson),
    })),
    snapshot:
      snapshot &&
      ('replayedTo' in snapshot
        ? { replayedTo: String(snapshot.replayedTo) }
        : { xmin: String(snapshot.xmin), xmax: String(snapshot.xmax), running: [...snapshot.running].map(String) }),
    snapshotPosition: String(facts.snapshotPosition),
    position: String(facts.position),
    usesTime: facts.usesTime,
  };
}

/** Throws at anything odd. */
export function fromJson(json: unknown): EntryFacts {
  const of = object(json);
  return {
    name: string(of.name),
    statements: list(of.statements).map((one): StatementRecord => {
      const statement = object(one);
      return {
        text: string(statement.text),
        durationMs: number(statement.durationMs),
        rows: number(statement.rows),
        terms: list(statement.terms).map(termFromJson),
        refusal: undefined,
      };
    }),
    snapshot: of.snapshot === undefined ? undefined : snapshotFromJson(object(of.snapshot)),
    snapshotPosition: bigint(of.snapshotPosition),
    position: bigint(of.position),
    usesTime: boolean(of.usesTime),
  };
}

function snapshotFromJson(of: Record<string, unknown>): ReadSnapshot {
  if (of.replayedTo !== undefined) return { replayedTo: bigint(of.replayedTo) };
  return { xmin: bigint(of.xmin), xmax: bigint(of.xmax), running: new Set(list(of.running).map(bigint)) };
}

function termToJson({ table, columns, predicates, grain, coarse, indexBy }: Term): unknown {
  return {
    table: [table.oid, table.schema, table.name],
    columns: columns === 'all' ? 'all' : [...columns],
    predicates: predicates.map((one) => (one.kind === 'in' ? { ...one, values: [...one.values] } : one)),
    grain,
    coarse,
    indexBy,
  };
}

function termFromJson(json: unknown): Term {
  const of = object(json);
  const [oid, schema, name] = list(of.table);
  const indexBy = of.indexBy === undefined ? undefined : object(of.indexBy);
  return {
    table: { ...UNKNOWN_TABLE, oid: number(oid), schema: string(schema), name: string(name) },
    columns: of.columns === 'all' ? 'all' : new Set(list(of.columns).map(string)),
    predicates: list(of.predicates).map(predicateFromJson),
    grain: oneOf(of.grain, ['row', 'predicate', 'table']),
    coarse: of.coarse === undefined ? undefined : string(of.coarse),
    indexBy: indexBy && {
      column: string(indexBy.column),
      type: string(indexBy.type),
      values: list(indexBy.values).map(string),
    },
  };
}

/** Whoever holds an answer looks at the name and the oid of its tables alone. */
const UNKNOWN_TABLE: CatalogTable = {
  oid: 0,
  schema: '',
  name: '',
  kind: 'table',
  columns: [],
  definition: undefined,
  invisible: undefined,
  uniqueKeys: [],
  ancestors: [],
};

const OPERATORS: readonly RangeOperator[] = ['<', '<=', '>', '>='];

function predicateFromJson(json: unknown): Predicate {
  const of = object(json);
  const column = string(of.column);
  const kind = oneOf(of.kind, ['in', 'range', 'null', 'not null']);
  switch (kind) {
    case 'in':
      return { kind, column, type: string(of.type), values: new Set(list(of.values).map(string)) };
    case 'range':
      return { kind, column, type: string(of.type), operator: oneOf(of.operator, OPERATORS), value: string(of.value) };
    default:
      return { kind, column };
  }
}

function object(value: unknown): Record<string, unknown> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw new TypeError('not an object');
  return value as Record<string, unknown>;
}

function list(value: unknown): unknown[] {
  if (!Array.isArray(value) || value.length > LIST_MAX) throw new TypeError('not a list');
  return value;
}

function string(value: unknown): string {
  if (typeof value !== 'string') throw new TypeError('not a text');
  return value;
}

function number(value: unknown): number {
  if (typeof value !== 'number') throw new TypeError('not a number');
  return value;
}

function boolean(value: unknown): boolean {
  if (typeof value !== 'boolean') throw new TypeError('not a truth value');
  return value;
}

function bigint(value: unknown): bigint {
  if (typeof value !== 'string' || !/^\d{1,30}$/.test(value)) throw new TypeError('not a whole number');
  return BigInt(value);
}

function oneOf<T extends string>(value: unknown, allowed: readonly T[]): T {
  const found = allowed.find((one) => one === value);
  if (found === undefined) throw new TypeError(`none of ${allowed.join(', ')}`);
  return found;
}
