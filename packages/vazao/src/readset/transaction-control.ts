/**
 * The statements with which a client begins a transaction, sets what holds in it, and ends it; of those only the forms that a
 * transaction of somebody else, which sees one snapshot, can stand for.
 */
import { LRUCache } from 'lru-cache';
import { asKind, asList, asText, asWords, isTree, settingName, type Tree, withoutTextCast } from './ast.ts';
import { parseTree } from './parse.ts';

/** What a transaction may set for itself besides settings of the application. */
export const SESSION_SETTINGS = ['role', 'search_path', 'timezone'] as const;

/** A text, or the number of the parameter that has it. */
export type SettingPart = string | number;

export type TransactionControl =
  | { readonly kind: 'begin'; readonly command: 'BEGIN' | 'START' }
  | { readonly kind: 'commit' }
  | { readonly kind: 'rollback' }
  /** Settings of the application (`app.tenant`), the role, the search path, the time zone: until the transaction ends. */
  | {
      readonly kind: 'set';
      readonly settings: readonly LocalSetting[];
      readonly isQuery: boolean;
      /** Values that must come with it. */
      readonly parameterCount: number;
    };

export interface LocalSetting {
  readonly name: SettingPart;
  readonly value: SettingPart;
  /** The column that tells it, of a query. */
  readonly column: string;
}

const TEXTS_MAX = 1_000;
const LENGTH_MAX = 1_000;
const known = new LRUCache<string, { readonly control: TransactionControl | undefined }>({ max: TEXTS_MAX });

/** Undefined for everything else, also for a transaction that must see more, or less, than one snapshot at READ COMMITTED. */
export function readTransactionControl(text: string): TransactionControl | undefined {
  if (text.length > LENGTH_MAX) return undefined;
  const found = known.get(text);
  if (found) return found.control;
  const control = read(text);
  known.set(text, { control });
  return control;
}

function read(text: string): TransactionControl | undefined {
  const statement = parseTree(text);
  const transaction = asKind(statement, 'TransactionStmt');
  if (transaction) return readTransaction(transaction);
  const set = asKind(statement, 'VariableSetStmt');
  if (set) return readSet(set);
  const select = asKind(statement, 'SelectStmt');
  return select && readSelect(select);
}

function readTransaction({ kind, options, chain }: Tree): TransactionControl | undefined {
  if (chain) return undefined;
  switch (kind) {
    case 'TRANS_STMT_BEGIN':
    case 'TRANS_STMT_START':
      if (!asList(options).every(isUsual)) return undefined;
      return { kind: 'begin', command: kind === 'TRANS_STMT_BEGIN' ? 'BEGIN' : 'START' };
    case 'TRANS_STMT_COMMIT':
      return { kind: 'commit' };
    case 'TRANS_STMT_ROLLBACK':
      return { kind: 'rollback' };
    default:
      return undefined;
  }
}

/** What is asked of a higher level lasts beyond the first write, or unreadable statement, which goes elsewhere. */
function isUsual(option: unknown): boolean {
  const element = asKind(option, 'DefElem');
  if (element?.defname !== 'transaction_isolation') return element !== undefined;
  return textOf(element.arg) === 'read committed';
}

function readSet({ kind, name, args, is_local: isLocal }: Tree): TransactionControl | undefined {
  const values = asList(args).map((arg) => {
    const constant = asKind(arg, 'A_Const');
    return isTree(constant?.ival) ? String(constant.ival.ival ?? 0) : textOf(arg);
  });
  const [first, ...others] = values;
  if (kind !== 'VAR_SET_VALUE' || !isLocal || first === undefined) return undefined;
  if (asText(name).toLowerCase() !== 'search_path')
    return others.length > 0 ? undefined : checked([{ name: asText(name), value: first, column: '' }], false);
  const schemas = asList(args).map(textOf);
  if (!schemas.every((schema) => schema !== undefined)) return undefined;
  return checked([{ name: 'search_path', value: schemas.map(quoteIfNeeded).join(', '), column: '' }], false);
}

/** A name of a list, as PostgreSQL keeps it (guc_funcs.c, `flatten_set_variable_args`). */
function quoteIfNeeded(name: string): string {
  const isPlain = /^[a-z_][a-z0-9_]*$/.test(name) && !isReserved(name);
  return isPlain ? name : `"${name.replaceAll('"', '""')}"`;
}

/** A keyword that the grammar keeps from some of the names: of functions, or of columns and tables. */
function isReserved(name: string): boolean {
  return !parseTree(`create function ${name}() returns int language sql as ''`) || !parseTree(`select from ${name}`);
}

const SELECT_FIELDS: ReadonlySet<string> = new Set(['targetList', 'limitOption', 'op']);

function readSelect(select: Tree): TransactionControl | undefined {
  if (Object.keys(select).some((field) => !SELECT_FIELDS.has(field))) return undefined;
  const settings = asList(select.targetList).map((entry): LocalSetting | undefined => {
    const target = asKind(entry, 'ResTarget');
    const call = asKind(target?.val, 'FuncCall');
    const words = asWords(call?.funcname)?.join('.');
    if (!target || !call || (words !== 'set_config' && words !== 'pg_catalog.set_config')) return undefined;
    const [name, value, isLocal, ...others] = asList(call.args);
    const flag = asKind(isLocal, 'A_Const')?.boolval;
    if (others.length > 0 || !isTree(flag) || flag.boolval !== true) return undefined;
    const parts = [partOf(name), partOf(value)];
    if (parts[0] === undefined || parts[1] === undefined) return undefined;
    return { name: parts[0], value: parts[1], column: asText(target.name) || 'set_config' };
  });
  return settings.every((setting) => setting !== undefined) ? checked(settings, true) : undefined;
}

/** The name of what a transaction may set for itself, in the form in which it is compared. */
export function localSettingName(text: string): string | undefined {
  return SESSION_SETTINGS.find((name) => name === text.toLowerCase()) ?? settingName(text);
}

/** Other settings may change what statements mean, and are not for a transaction that is shared. */
function checked(settings: readonly LocalSetting[], isQuery: boolean): TransactionControl | undefined {
  const isKnown = ({ name }: LocalSetting): boolean => typeof name === 'number' || localSettingName(name) !== undefined;
  if (settings.length === 0 || !settings.every(isKnown)) return undefined;
  const parts = settings.flatMap(({ name, value }) => [name, value]);
  const parameterCount = Math.max(0, ...parts.map((part) => (typeof part === 'number' ? part : 0)));
  return { kind: 'set', settings, isQuery, parameterCount };
}

function partOf(value: unknown): SettingPart | undefined {
  const parameter = asKind(withoutTextCast(value), 'ParamRef');
  return parameter ? Number(parameter.number ?? 0) : textOf(value);
}

function textOf(value: unknown): string | undefined {
  const constant = asKind(withoutTextCast(value), 'A_Const');
  return isTree(constant?.sval) ? asText(constant.sval.sval) : undefined;
}
