/**
 * A transaction that a handler begins on a client of its fill. The fill's own, which sees one snapshot and only reads, stands for
 * it: nothing is sent, and what the handler sets for the transaction (`set_config('app.tenant', $1, true)`) goes out with each of its
 * statements, so that row-level security shows each client's statements what is theirs.
 */
import pg from 'pg';
import { readTransactionControl, type SettingPart, settingName, type TransactionControl } from '../readset/index.ts';
import type { Statement } from './statement.ts';

type Settings = ReadonlyMap<string, string>;

/** SQLSTATE of a statement in a transaction that an earlier statement has broken. */
export const IN_FAILED_TRANSACTION = '25P02';

const SETTINGS_MAX = 100;
const TEXT_OID = 25;

export class FillTransaction {
  readonly #beginning: Statement;
  readonly #settings = new Map<string, string>();
  /** A statement of it has failed: PostgreSQL would take nothing more but its end. */
  hasFailed = false;

  constructor(beginning: Statement) {
    this.#beginning = beginning;
  }

  /** With what is set for it at this moment. */
  care(statement: Statement): Statement {
    return this.#settings.size === 0 ? statement : { ...statement, settings: new Map(this.#settings) };
  }

  /** Undefined if a name or value is none: PostgreSQL will say so. */
  set(
    statement: Statement,
    { settings, isQuery }: Extract<TransactionControl, { kind: 'set' }>,
  ): pg.QueryResult | undefined {
    const found: { readonly name: string; readonly value: string; readonly column: string }[] = [];
    for (const { name: namePart, value: valuePart, column } of settings) {
      const name = settingName(partOf(namePart, statement.values) ?? '');
      const value = partOf(valuePart, statement.values);
      if (name === undefined || value === undefined || value.includes('\0')) return undefined;
      found.push({ name, value, column });
    }
    if (this.#settings.size + found.length > SETTINGS_MAX) return undefined;
    for (const { name, value } of found) this.#settings.set(name, value);
    if (!isQuery) return resultOf('SET');
    const { rowMode } = statement.config as { rowMode?: unknown };
    const values = found.map(({ value }) => value);
    const row = rowMode === 'array' ? values : Object.fromEntries(found.map(({ column, value }) => [column, value]));
    return resultOf(
      'SELECT',
      [row],
      found.map(({ column }) => column),
    );
  }

  /** Does on a real connection what was done here so far. A query would take the snapshot that the handler's first one takes. */
  async repeatOn(send: (config: pg.QueryConfig | string) => Promise<unknown>): Promise<void> {
    await send(this.#beginning.config);
    if (this.#settings.size > 0) await send(settingSql([...this.#settings]));
    if (this.hasFailed) await send('select 1 / 0').catch(() => {});
  }
}

/** What begins, ends or sets up a transaction that the fill's may stand for. */
export function controlOf({ text, values }: Statement): TransactionControl | undefined {
  const control = CONTROLS.test(text) ? readTransactionControl(text) : undefined;
  return values.length === (control?.kind === 'set' ? control.parameterCount : 0) ? control : undefined;
}

/** So that not every statement is parsed. */
const CONTROLS =
  /^(?:\s|--[^\n]*\n|\/\*(?:[^*]|\*(?!\/))*\*\/)*(?:begin|start|commit|end|rollback|abort|set|select[\s\S]*\bset_config)\b/i;

/** What must be set so that in a transaction where `applied` is set there is what is wanted, and nothing else. */
export function settingChanges(
  applied: Settings,
  wanted: Settings,
): readonly (readonly [name: string, value: string])[] {
  // There is no way back to NULL within the transaction; an empty text is what a setting is after one that set it.
  const others = [...applied].filter(([name, value]) => value !== '' && !wanted.has(name));
  const missing = [...wanted].filter(([name, value]) => applied.get(name) !== value);
  return [...missing, ...others.map(([name]) => [name, ''] as const)];
}

export function settingSql(changes: ReturnType<typeof settingChanges>): string {
  const nameOf = (name: string): string => name.split('.').map(pg.escapeIdentifier).join('.');
  return changes.map(([name, value]) => `set local ${nameOf(name)} = ${pg.escapeLiteral(value)}`).join('; ');
}

/** As PostgreSQL answers. */
export function resultOf(
  command: string,
  rows: readonly unknown[] = [],
  columns: readonly string[] = [],
): pg.QueryResult {
  const result = new (pg as unknown as { Result: new () => pg.QueryResult }).Result();
  const fields = columns.map((name) => ({
    name,
    tableID: 0,
    columnID: 0,
    dataTypeID: TEXT_OID,
    dataTypeSize: -1,
    dataTypeModifier: -1,
    format: 'text',
  }));
  return Object.assign(result, { command, rowCount: command === 'SELECT' ? rows.length : null, rows, fields });
}

/** NULL sets what nothing set: an empty text. */
function partOf(part: SettingPart, values: readonly unknown[]): string | undefined {
  const value = typeof part === 'number' ? values[part - 1] : part;
  if (value === null) return '';
  return typeof value === 'string' ? value : undefined;
}
