/**
 * Casts of text to a date or time: `'today'::date` is another day tomorrow, and so is a column of text that holds the word.
 * Constants are looked at by `inspect.ts`, parameters when they are bound. Here is asked of every other expression that is
 * made a date or time whether text from a column may be in it, or one that is put together: `date_trunc('day', c.at)::date` has
 * none, `c.note::date` has.
 */
import { asKind, asList, asText, asWords, isTree, splitName, type Tree } from './ast.ts';
import type { CatalogColumn } from './catalog.ts';
import { LETTERS } from './inspect.ts';
import type { Names } from './names.ts';
import type { ColumnNode, Scope } from './scope.ts';

/** A column of a sub-select that is an expression without text from columns. Of no family: nothing else is known of it. */
export const TIMELESS: CatalogColumn = { name: '', type: 'timeless', deterministic: true, generated: false };

const TIMELESS_TYPES: ReadonlySet<string> = new Set(
  'timeless bool int2 int4 int8 numeric float4 float8 money oid uuid date time timetz timestamp timestamptz interval'.split(
    ' ',
  ),
);

export function isTimelessType(column: CatalogColumn | undefined): boolean {
  return column !== undefined && TIMELESS_TYPES.has(column.type);
}

const TIME_TYPES: ReadonlySet<string> = new Set(
  `date time timetz timestamp timestamptz daterange tsrange tstzrange datemultirange tsmultirange tstzmultirange`.split(
    /\s+/,
  ),
);

const DATED: ReadonlySet<string> = new Set(['date', 'timestamp', 'timestamptz']);
const GIVES_DATE: ReadonlySet<string> = new Set(
  'date_bin date_trunc make_date make_timestamp make_timestamptz now to_date to_timestamp'.split(' '),
);
/** So does AT TIME ZONE in this respect. */
const KEEPS_TYPE: ReadonlySet<string> = new Set(['max', 'min', 'timezone']);

/**
 * What puts texts together, or takes them apart (`('to' || 'day')::date`), are all functions and operators but these, which give no
 * text, or none that was in what they are asked.
 */
const SPELLS_NOTHING: ReadonlySet<string> = new Set(
  `age abs avg ceil ceiling char_length clock_timestamp count current_setting date_add date_bin date_diff date_part date_subtract date_trunc dense_rank extract
   floor generate_series isfinite justify_days justify_hours justify_interval length make_date make_interval make_time make_timestamp
   make_timestamptz mod now ntile octet_length position rank round row_number sign statement_timestamp strpos sum timezone to_char to_date
   to_number to_timestamp transaction_timestamp trunc
   = <> != < <= > >= + - * / % ^ & | # ~ ~* !~ !~* ~~ ~~* !~~ !~~* @> <@ && -|- << >> &< &> <-> ? @@`.split(/\s+/),
);
/** Of syntax that gives text, beside functions. */
const SPELLING_KINDS = /^(?:Xml|Json)/;

/** Letters in what these are asked are none of what they answer. */
const FORMATTING: ReadonlySet<string> = new Set(['date_part', 'date_trunc', 'extract', 'to_char']);

/** These make a row of some type of what is in JSON. */
const POPULATING = /^jsonb?_populate_record/;
/** These name the types of what they take out of JSON or XML. */
const EXTRACTING: ReadonlySet<string> = new Set(['RangeFunction', 'JsonTable', 'RangeTableFunc', 'JsonFuncExpr']);

export interface TimeWords {
  /** Whether the node may read a time word in the text of a column, or today's offset of a zone. Its insides have been visited. */
  readIn(kind: string, node: Tree): boolean;
  /** Whether the value of an expression may hold text of a column. */
  mayHold(value: unknown): boolean;
}

/** @param onParameter - told of parameters that are read as times, whatever else they are used as */
export function createTimeWords(
  names: Names,
  columns: ReadonlyMap<Tree, ColumnNode | undefined>,
  onParameter: (parameter: number) => void,
): TimeWords {
  const mayHold = (value: unknown): boolean => {
    if (Array.isArray(value)) return value.map(mayHold).includes(true);
    if (!isTree(value)) return false;
    let found = false;
    for (const [key, inner] of Object.entries(value)) {
      if (!isTree(inner) && !Array.isArray(inner)) continue;
      if (key === 'ParamRef' && isTree(inner)) onParameter(Number(inner.number ?? 0));
      else if (key === 'FuncCall' && isTree(inner) && isOfApplication(inner)) found = true;
      else if ((key === 'FuncCall' || key === 'A_Expr') && isTree(inner) && spells(inner)) found = true;
      else if (SPELLING_KINDS.test(key) && hasLetters(inner)) found = true;
      else if (key === 'ColumnRef' && isTree(inner)) {
        if (!isTimelessType(columns.get(inner)?.column)) found = true;
      } else if (mayHold(inner)) found = true;
    }
    return found;
  };
  /** Letters that it puts together may be a word which neither of them is. */
  const spells = (node: Tree): boolean => {
    const name = asWords(node.funcname ?? node.name)?.at(-1) ?? '';
    return name === 'chr' || (!SPELLS_NOTHING.has(name) && hasLetters([node.args, node.lexpr, node.rexpr]));
  };
  /** A function of the application may read text that no argument shows. */
  const isOfApplication = (call: Tree): boolean => {
    const { schema, name } = splitName(asWords(call.funcname) ?? []);
    return names.findFunctions(schema, name).some((entry) => entry.schema !== 'pg_catalog');
  };
  /** A constant or parameter is looked at elsewhere. */
  const isPlain = (value: unknown): boolean => {
    const parameter = asKind(value, 'ParamRef');
    if (parameter) onParameter(Number(parameter.number ?? 0));
    return parameter !== undefined || asKind(value, 'A_Const') !== undefined;
  };
  const isTime = (typeName: unknown): boolean => {
    const words = (isTree(typeName) && asWords(typeName.names)) || [];
    return TIME_TYPES.has(words.at(-1)?.replace(/^_/, '') ?? '') || names.findOwnType(words)?.holdsTime === true;
  };
  /**
   * Whether the value is surely one with a date. A `time` in its place would be cast to `timetz`, by today's offset of the zone.
   * Of operands and alternatives one is enough: dates and times of day have no type in common.
   */
  const hasDate = (value: unknown): boolean => {
    if (!isTree(value)) return false;
    const [kind = ''] = Object.keys(value);
    const node = asKind(value, kind) ?? {};
    switch (kind) {
      case 'A_Const':
      case 'ParamRef':
        return true; // without a type of its own, it is read as timestamptz
      case 'ColumnRef':
        return DATED.has(columns.get(node)?.column.type ?? '');
      case 'TypeCast':
        return DATED.has((isTree(node.typeName) && asWords(node.typeName.names)?.at(-1)) || '');
      case 'FuncCall': {
        const name = asWords(node.funcname)?.at(-1) ?? '';
        if (isOfApplication(node)) return false;
        if (GIVES_DATE.has(name)) return true;
        return KEEPS_TYPE.has(name) && asList(node.args).some((argument) => !isPlain(argument) && hasDate(argument));
      }
      case 'A_Expr':
        return [node.lexpr, node.rexpr].some((operand) => !isPlain(operand) && hasDate(operand));
      case 'CoalesceExpr':
      case 'MinMaxExpr':
        return asList(node.args).some((argument) => !isPlain(argument) && hasDate(argument));
      default:
        return false;
    }
  };
  const namesTime = (value: unknown): boolean => {
    if (Array.isArray(value)) return value.some(namesTime);
    if (!isTree(value)) return false;
    return Object.entries(value).some(([key, inner]) => (key === 'typeName' && isTime(inner)) || namesTime(inner));
  };

  return {
    mayHold,
    readIn(kind, node) {
      if (kind === 'TypeCast') return isTime(node.typeName) && !isPlain(node.arg) && mayHold(node.arg);
      if (kind === 'FuncCall') {
        const name = asWords(node.funcname)?.at(-1) ?? '';
        const args = asList(node.args);
        // A function by the name of a type is a cast.
        const isCast = args.length === 1 && TIME_TYPES.has(name) && !isPlain(args[0]);
        // AT TIME ZONE, AT LOCAL.
        if (name === 'timezone' && !hasDate(args.at(-1))) return true;
        return (isCast || POPULATING.test(name)) && mayHold(args);
      }
      return EXTRACTING.has(kind) && namesTime(node) && mayHold(node);
    },
  };
}

/** In a constant; a parameter may have some. */
function hasLetters(value: unknown): boolean {
  if (Array.isArray(value)) return value.some(hasLetters);
  if (!isTree(value)) return false;
  if (FORMATTING.has(asWords(asKind(value, 'FuncCall')?.funcname)?.at(-1) ?? '')) return false;
  const constant = asKind(value, 'A_Const');
  if (constant) return isTree(constant.sval) && LETTERS.test(asText(constant.sval.sval));
  return asKind(value, 'ParamRef') !== undefined || Object.values(value).some(hasLetters);
}

/** Whether a column that was not resolved is that of a function in FROM whose arguments hold no text of columns. */
export function isOfTimelessFunction(reference: Tree, scope: Scope | undefined): boolean {
  const words = asList(reference.fields).map((field) => asText(asKind(field, 'String')?.sval));
  const name = words.at(-1) ?? '';
  for (let at = scope; at; at = at.parent) {
    if (at.items.some((item) => item.timelessNames?.has(name) && (words.length === 1 || item.name === words.at(-2)))) {
      return true;
    }
    if (at.items.some((item) => item.columns === undefined || item.columns.has(name))) return false;
  }
  return false;
}
