/**
 * A transaction that a handler begins on a client of its fill. The fill's own, which sees one snapshot and only reads, stands for
 * it: nothing is sent, and what the handler sets for the transaction (`set_config('app.tenant', $1, true)`) goes out with each of its
 * statements, so that row-level security shows each client's statements what is theirs. Of the settings of PostgreSQL's own these are
 * the role, the search path and the time zone, as far as it is known already what they make of statements (`local-sessions.ts`).
 */
import pg from 'pg';
import {
  localSettingName,
  readTransactionControl,
  SESSION_SETTINGS,
  type SettingPart,
  type TransactionControl,
} from '../readset/index.ts';
import type { FillCare } from './fill-care.ts';
import type { Statement } from './statement.ts';

type Settings = ReadonlyMap<string, string>;

/** SQLSTATE of a statement in a transaction that an earlier statement has broken. */
export const IN_FAILED_TRANSACTION = '25P02';

const SETTINGS_MAX = 100;
/** Of a role, path or time zone, which are kept in mind. */
const VALUE_LENGTH_MAX = 1_000;
const TEXT_OID = 25;

export class FillTransaction {
  /** What began it, and what set something for it: repeated on a real connection. */
  readonly #statements: Statement[];
  #settings: ReadonlyMap<string, string> = new Map();
  /** A statement of it has failed: PostgreSQL would take nothing more but its end. */
  hasFailed = false;

  constructor(beginning: Statement) {
    this.#statements = [beginning];
  }

  /** It has set what the meaning of statements depends on. */
  get setsSession(): boolean {
    return SESSION_SETTINGS.some((name) => this.#settings.has(name));
  }

  /** With what is set for it at this moment. */
  care(statement: Statement): Statement {
    return this.#settings.size === 0 ? statement : { ...statement, settings: this.#settings };
  }

  /** Undefined if a name or value is none, and PostgreSQL will say so; or if the session does not know yet what it means. */
  set(
    statement: Statement,
    { settings, isQuery }: Extract<TransactionControl, { kind: 'set' }>,
    session: Pick<FillCare, 'findLocal' | 'leave'>,
  ): pg.QueryResult | undefined {
    // The path may lead to another `set_config` before PostgreSQL's.
    if (isQuery && this.#settings.get('search_path')?.includes('pg_catalog')) return undefined;
    const found: { readonly name: string; readonly value: string; readonly column: string }[] = [];
    for (const { name: namePart, value: valuePart, column } of settings) {
      const name = localSettingName(partOf(namePart, statement.values) ?? '');
      const value = partOf(valuePart, statement.values);
      if (name === undefined || value === undefined || value.includes('\0')) return undefined;
      if (isOfSession(name) && value.length > VALUE_LENGTH_MAX) return undefined;
      if (isNull(valuePart, statement.values) && isOfSession(name)) return undefined; // back to what the session began with
      found.push({ name, value, column });
    }
    // PostgreSQL sets, shows and may refuse the first one, too.
    if (new Set(found.map(({ name }) => name)).size < found.length) return undefined;
    const all = new Map([...this.#settings, ...found.map(({ name, value }) => [name, value] as const)]);
    const local = session.findLocal(all);
    if (!local)
      session.leave('catalog', 'What statements mean under the role, search path or time zone is being asked.');
    if (!local || local === 'refused' || all.size > SETTINGS_MAX || this.#statements.length > SETTINGS_MAX)
      return undefined;
    this.#settings = all;
    this.#statements.push(statement);
    if (!isQuery) return resultOf('SET');
    const { rowMode } = statement.config as { rowMode?: unknown };
    const values = found.map(({ name, value }) => local.shown.get(name) ?? value);
    const columns = found.map(({ column }) => column);
    const row = rowMode === 'array' ? values : Object.fromEntries(columns.map((column, at) => [column, values[at]]));
    return resultOf('SELECT', [row], columns);
  }

  /** Does on a real connection what was done here so far. */
  async repeatOn(send: (config: pg.QueryConfig | string) => unknown): Promise<void> {
    for (const { config } of this.#statements) await send(config);
    if (this.hasFailed) await Promise.resolve(send('select 1 / 0')).catch(() => {});
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

/**
 * What must be set so that in a transaction where `applied` is set there is what is wanted, and nothing else.
 *
 * @param own - the session's own values of settings that are not the application's
 */
export function settingChanges(
  applied: Settings,
  wanted: Settings,
  own: Settings,
): readonly (readonly [name: string, value: string])[] {
  // There is no way back to NULL within the transaction; an empty text is what a setting is after one that set it.
  const others = [...applied.keys()]
    .filter((name) => !wanted.has(name))
    .map((name) => [name, own.get(name) ?? ''] as const);
  return [...wanted, ...others].filter(([name, value]) => applied.get(name) !== value);
}

/** With its schema: the path that is set may lead to another function of that name first. */
export function settingSql(changes: ReturnType<typeof settingChanges>): string {
  const calls = changes.map(
    ([name, value]) => `pg_catalog.set_config(${pg.escapeLiteral(name)}, ${pg.escapeLiteral(value)}, true)`,
  );
  return `select ${calls.join(', ')}`;
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

const isOfSession = (name: string): boolean => SESSION_SETTINGS.some((one) => one === name);

function isNull(part: SettingPart, values: readonly unknown[]): boolean {
  return typeof part === 'number' && values[part - 1] === null;
}

/** NULL sets what nothing set: of a setting of the application, an empty text. */
function partOf(part: SettingPart, values: readonly unknown[]): string | undefined {
  const value = typeof part === 'number' ? values[part - 1] : part;
  if (isNull(part, values)) return '';
  return typeof value === 'string' ? value : undefined;
}
