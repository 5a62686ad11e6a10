/**
 * A transaction that a handler begins on a client of its fill. The fill's own, which sees one snapshot and only reads, stands for
 * it: nothing is sent, and what the handler sets for the transaction (`set_config('app.tenant', $1, true)`) goes out with each of its
 * statements, so that row-level security shows each client's statements what is theirs.
 */
import pg from 'pg';
import { readTransactionControl, type SettingPart, type TransactionControl } from '../readset/index.ts';
import type { Statement } from './statement.ts';

export type Settings = ReadonlyMap<string, string>;

/** SQLSTATE of a statement in a transaction that an earlier statement has broken. */
export const IN_FAILED_TRANSACTION = '25P02';

export class FillTransaction {
  readonly #beginning: Statement;
  readonly #settings = new Map<string, string>();
  /** A statement of it has failed: PostgreSQL would take nothing more. */
  hasFailed = false;

  constructor(beginning: Statement) {
    this.#beginning = beginning;
  }

  /** With what is set for it at this moment. */
  care(statement: Statement): Statement {
    return this.#settings.size === 0 ? statement : { ...statement, settings: new Map(this.#settings) };
  }

  /** Undefined if a name or value is none: PostgreSQL will say so. */
  set(statement: Statement, control: Extract<TransactionControl, { kind: 'set' }>): pg.QueryResult | undefined {
    const found = control.settings.map(({ name, value, column }) => ({
      name: partOf(name, statement.values)?.toLowerCase(),
      value: partOf(value, statement.values),
      column,
    }));
    const row: Record<string, string> = {};
    for (const { name, value } of found) if (!name?.includes('.') || value === undefined) return undefined;
    for (const { name, value, column } of found) {
      this.#settings.set(name as string, value as string);
      row[column] = value as string;
    }
    if (!control.isQuery) return resultOf('SET');
    const { rowMode } = statement.config as { rowMode?: unknown };
    return resultOf('SELECT', [rowMode === 'array' ? Object.values(row) : row]);
  }

  /** Does on a real connection what was done here so far. */
  async repeatOn(send: (config: pg.QueryConfig) => Promise<unknown>): Promise<void> {
    await send(this.#beginning.config);
    if (this.#settings.size > 0) await send(settingConfig(this.#settings));
  }
}

/** What begins, ends or sets up a transaction that the fill's may stand for. */
export function controlOf(statement: Statement): TransactionControl | undefined {
  return CONTROLS.test(statement.text) ? readTransactionControl(statement.text) : undefined;
}

/** So that not every statement is parsed. */
const CONTROLS = /^\s*(?:begin|start|commit|end|rollback|abort|set)\b|\bset_config\b/i;

export function settingConfig(settings: Settings): pg.QueryConfig {
  const calls = [...settings.keys()].map((_name, at) => `pg_catalog.set_config($${at * 2 + 1}, $${at * 2 + 2}, true)`);
  return { text: `select ${calls.join(', ')}`, values: [...settings].flat() };
}

/** As PostgreSQL answers. */
export function resultOf(command: string, rows: readonly unknown[] = []): pg.QueryResult {
  const result = new (pg as unknown as { Result: new () => pg.QueryResult }).Result();
  return Object.assign(result, { command, rowCount: command === 'SELECT' ? rows.length : null, rows });
}

export function createAborted(): Error {
  const text = 'current transaction is aborted, commands ignored until end of transaction block';
  return Object.assign(new pg.DatabaseError(text, text.length, 'error'), {
    severity: 'ERROR',
    code: IN_FAILED_TRANSACTION,
  });
}

/** NULL sets what nothing set: an empty text. */
function partOf(part: SettingPart, values: readonly unknown[]): string | undefined {
  const value = typeof part === 'number' ? values[part - 1] : part;
  if (value === null) return '';
  return typeof value === 'string' ? value : undefined;
}
