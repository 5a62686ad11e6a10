/**
 * The first walk: over every node of the tree, wherever it is, without regard to scopes. It finds what makes a statement
 * impure or its answer unfit to be kept (functions, operators, casts, locks, the clock), and counts what the second walk
 * (`select.ts`) must account for. Kinds of nodes that are not listed are refused: a tree that we don't know can hide anything.
 */
import { asKind, asList, asText, asWords, isTree, settingName, splitName, type Tree, withoutTextCast } from './ast.ts';
import { type CatalogFunction, mustBeLookedAt } from './catalog.ts';
import {
  CHANGES_SESSION,
  DEPENDS_ON_ARGUMENTS,
  READS_CLOCK,
  READS_SESSION,
  SAME_IN_ALL_SESSIONS,
  SAME_SETTINGS,
} from './functions.ts';
import { type Names, SYSTEM_COLUMNS, systemColumn } from './names.ts';
import type { Finding, RefusalCode } from './refusal.ts';

/** Levels of objects, some three for each level of SQL. Bounds the recursion of the second walk too. */
const DEPTH_MAX = 1_500;
/** Of one FROM. The second walk looks at each with all before it. */
const SOURCES_MAX = 500;
/** Columns times sources of a statement: the second walk may look for each column in each source. */
const LOOKS_MAX = 2_000_000;

export interface Inspection {
  readonly findings: readonly Finding[];
  readonly usesTime: boolean;
  /** How often each `$n` occurs. */
  readonly parameterUses: ReadonlyMap<number, number>;
  /** Every reference to a relation (or CTE). */
  readonly rangeVars: ReadonlySet<Tree>;
  /** Functions that may be called and whose body or default arguments, or what was declared of them, must be analysed too. */
  readonly functions: ReadonlySet<CatalogFunction>;
  /** Settings of the application (with a dot in the name, in small letters) that it reads. */
  readonly settings: ReadonlySet<string>;
}

/** Words that PostgreSQL's date and time input takes for the current time, in any position and next to any punctuation. */
const TIME_WORD = /(?<![a-z])(?:now|today|tomorrow|yesterday)(?![a-z])/i;

/** What a word may be made of, also after `normalize()`. */
export const LETTERS: RegExp = /[a-z\u0080-\uffff]/i;

/** Whether a text would mean another moment each day if PostgreSQL should read it as a date or time, or as many (`{to\day}`). */
export function mentionsCurrentTime(text: string): boolean {
  if (TIME_WORD.test(text)) return true;
  // Within arrays and ranges quotes and backslashes are no part of what is meant.
  return /["\\]/.test(text) && TIME_WORD.test(text.replaceAll(/["\\]/g, ''));
}

/** @param isLong - there will be no second walk */
export function inspect(select: Tree, names: Names, isLong = false): Inspection {
  const findings: Finding[] = [];
  const parameterUses = new Map<number, number>();
  const rangeVars = new Set<Tree>();
  const functions = new Set<CatalogFunction>();
  const settings = new Set<string>();
  let usesTime = false;
  let sources = 0;
  let columns = 0;

  const refuse = (code: RefusalCode, detail: string, impure: boolean): void => {
    findings.push({ code, detail, impure });
  };

  const checkFunction = (words: readonly string[], args: readonly unknown[]): void => {
    const { schema, name } = splitName(words);
    const overloads = names.findFunctions(schema, name);
    const label = words.join('.');
    if (overloads.length === 0) {
      refuse('unknown-function', `The function ${label}() is not in the catalog; qualify it with its schema.`, true);
      return;
    }
    for (const overload of overloads) {
      if (overload.kind === 'procedure') continue; // can't be called in an expression
      const declared = names.findDeclared(overload.schema, overload.name);
      if (declared ? declared.reads !== 'arguments' : overload.body || overload.defaults) functions.add(overload);
      if (declared) continue;
      for (const part of overload.parts ?? []) checkFunction([part.schema, part.name], []);
      if (overload.isOpaque) {
        refuse(
          'function',
          `The function ${label}() is said to be IMMUTABLE, but what it does can't be seen. Declare what it reads, or write it in SQL.`,
          false,
        );
        return;
      }
      if (overload.volatility === 'immutable' || overload.body) continue;
      const impure = overload.volatility === 'volatile';
      if (overload.schema !== 'pg_catalog') {
        refuse(
          impure ? 'volatile-function' : 'function',
          `The function ${label}() is ${overload.volatility.toUpperCase()}: it may depend on anything. Declare what it reads, or write out what it does.`,
          impure,
        );
      } else if (CHANGES_SESSION.has(name)) {
        refuse('session-setting', `${label}() changes the session; set it when the pool connects instead.`, true);
      } else if (impure) {
        refuse('volatile-function', `${label}() is VOLATILE: each call may give another answer.`, true);
      } else if (READS_CLOCK.has(name)) {
        if (name !== 'age' || args.length === 1) usesTime = true;
      } else if (READS_SESSION.has(name)) {
        const constant = name === 'current_setting' ? constantText(args[0]) : undefined;
        if (constant !== undefined && SAME_SETTINGS.has(constant.toLowerCase())) continue;
        const setting = constant === undefined ? undefined : settingName(constant);
        if (setting !== undefined) {
          settings.add(setting);
          continue;
        }
        refuse('session-function', `${label}() depends on the session; pass its value as a parameter.`, false);
      } else if (!DEPENDS_ON_ARGUMENTS.has(name) && !SAME_IN_ALL_SESSIONS.has(name)) {
        refuse('function', `${label}() depends on more than its arguments.`, false);
      } else continue;
      return;
    }
  };

  const checkOperator = (words: readonly string[]): void => {
    const { schema, name } = splitName(words);
    for (const operator of names.findOperators(schema, name)) {
      if (operator.volatility === 'immutable') {
        checkFunction([operator.function.schema, operator.function.name], []);
        continue;
      }
      refuse(
        'operator',
        `The operator ${operator.schema}.${name} is ${operator.volatility.toUpperCase()}: it may depend on anything.`,
        operator.volatility === 'volatile',
      );
      return;
    }
  };

  const checkType = (typeName: Tree): void => {
    const words = asWords(typeName.names);
    const name = words?.at(-1);
    if (!words || name === undefined || typeName.pct_type) {
      if (typeName.names !== undefined) refuse('unsupported', 'A type is named by %TYPE; name the type itself.', true);
      return;
    }
    // A zone's offset is that of the current day.
    if (name.replace(/^_/, '') === 'timetz' || names.findOwnType(words)?.holdsZone) usesTime = true;
    if (CATALOG_TYPES.has(name.replace(/^_/, ''))) {
      refuse('catalog-cast', `A cast to ${name} reads the system catalog, which the feed does not carry.`, false);
    }
  };

  /** By its field, as with INTO: the selects of a UNION are nodes without a kind. */
  const countSources = (length: number): void => {
    sources += length;
    if (!isLong && length > SOURCES_MAX)
      refuse('too-complex', `The statement reads more than ${SOURCES_MAX} tables at once.`, true);
  };

  const visit = (kind: string, node: Tree): void => {
    switch (kind) {
      case 'JoinExpr':
        sources++;
        break;
      case 'ColumnRef':
        columns++;
        break;
      case 'FuncCall':
        checkFunction(asWords(node.funcname) ?? [], asList(node.args));
        break;
      case 'A_Expr':
        if (asText(node.kind).startsWith('AEXPR_BETWEEN') || asText(node.kind).startsWith('AEXPR_NOT_BETWEEN')) {
          for (const name of ['<', '<=', '>', '>=']) checkOperator([name]);
        } else checkOperator(asWords(node.name) ?? []);
        break;
      case 'SubLink':
        if (node.operName !== undefined) checkOperator(asWords(node.operName) ?? []);
        break;
      case 'SortBy':
        if (node.useOp !== undefined) checkOperator(asWords(node.useOp) ?? []);
        break;
      case 'SQLValueFunction':
        // Roles, catalog and schema are the same in all sessions whose answers are kept; the rest tells the time.
        if (!/_(ROLE|USER|CATALOG|SCHEMA)$/.test(asText(node.op))) usesTime = true;
        break;
      case 'LockingClause':
        refuse(
          'lock',
          'The statement locks rows (FOR UPDATE, FOR SHARE); leave that to transactions that write.',
          true,
        );
        break;
      case 'RangeTableSample':
        refuse('sample', 'TABLESAMPLE chooses rows by where they are stored, which the feed does not carry.', false);
        break;
      case 'RangeVar':
        rangeVars.add(node);
        break;
      case 'ParamRef': {
        const number = Number(node.number ?? 0);
        parameterUses.set(number, (parameterUses.get(number) ?? 0) + 1);
        break;
      }
      case 'A_Const': {
        const text = node.sval;
        if (isTree(text) && mentionsCurrentTime(asText(text.sval))) usesTime = true;
        break;
      }
      case 'A_Indirection':
        // `(row).name` may be a function call in disguise.
        for (const step of asList(node.indirection)) {
          const name = asText(asKind(step, 'String')?.sval);
          if (SYSTEM_COLUMNS.has(name)) refuse('system-column', systemColumn(name), false);
          if (name !== '' && names.findFunctions(undefined, name).some(mustBeLookedAt))
            checkFunction([name], [undefined]);
        }
        break;
      default:
        if (WRITING.has(kind)) refuse('write', 'The statement writes; write outside of cached reads.', true);
        else if (!KNOWN.has(kind)) refuse('unsupported', `The statement uses ${kind}, which is not understood.`, true);
    }
  };

  // `=` is meant by USING, NULLIF, CASE … WHEN, row comparisons and more, without being named.
  checkOperator(['=']);
  // An own stack: a statement can be nested deeper than the stack of calls.
  const stack: { value: unknown; depth: number }[] = [{ value: { SelectStmt: select }, depth: 0 }];
  for (let top = stack.pop(); top; top = stack.pop()) {
    const { value, depth } = top;
    if (depth > DEPTH_MAX) {
      refuse('too-complex', 'The statement is nested too deeply.', true);
      break;
    }
    if (Array.isArray(value)) {
      for (const item of value) stack.push({ value: item, depth: depth + 1 });
    } else if (isTree(value)) {
      for (const [key, inner] of Object.entries(value)) {
        if (typeof inner !== 'object') continue;
        if (/^[A-Z]/.test(key)) visit(key, isTree(inner) ? inner : {});
        else if (key === 'typeName' && isTree(inner)) checkType(inner);
        else if (key === 'fromClause') countSources(asList(inner).length);
        else if (key === 'intoClause')
          refuse('write', 'SELECT INTO creates a table; write outside of cached reads.', true);
        stack.push({ value: inner, depth: depth + 1 });
      }
    }
  }
  if (!isLong && sources * columns > LOOKS_MAX)
    refuse('too-complex', 'The statement has too many columns of too many tables.', true);
  return { findings, usesTime, parameterUses, rangeVars, functions, settings };
}

function constantText(value: unknown): string | undefined {
  const constant = asKind(withoutTextCast(value), 'A_Const');
  return isTree(constant?.sval) ? asText(constant.sval.sval) : undefined;
}

const CATALOG_TYPES: ReadonlySet<string> = new Set(
  // Not regconfig and regdictionary: text search configurations are as constant as the schema.
  'regclass regcollation regnamespace regoper regoperator regproc regprocedure regrole regtype aclitem'.split(' '),
);

const WRITING: ReadonlySet<string> = new Set(['InsertStmt', 'UpdateStmt', 'DeleteStmt', 'MergeStmt']);

const KNOWN: ReadonlySet<string> = new Set(
  `SelectStmt ResTarget A_Star String Integer Float Boolean BitString BoolExpr TypeCast CollateClause NullTest
   BooleanTest CaseExpr CaseWhen CoalesceExpr MinMaxExpr RowExpr A_ArrayExpr A_Indices NamedArgExpr GroupingFunc
   GroupingSet XmlExpr XmlSerialize List WindowDef RangeSubselect RangeFunction RangeTableFunc RangeTableFuncCol
   CommonTableExpr ColumnDef JsonObjectConstructor JsonArrayConstructor JsonArrayQueryConstructor JsonObjectAgg JsonArrayAgg
   JsonAggConstructor JsonKeyValue JsonParseExpr JsonScalarExpr JsonSerializeExpr JsonIsPredicate JsonFuncExpr JsonArgument
   JsonBehavior JsonTable JsonTableColumn JsonTablePathSpec JsonValueExpr JsonOutput JsonReturning JsonFormat`.split(
    /\s+/,
  ),
);
