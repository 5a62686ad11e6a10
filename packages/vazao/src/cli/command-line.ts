import { parseArgs } from 'node:util';
import { assertDeclared, type DeclaredFunction } from '../readset/declared-function.ts';
import { didYouMean } from '../runtime/nearest.ts';
import { parseTortureWords, TORTURE_USAGE, type TortureWords } from './torture-words.ts';
import { UsageError } from './usage-error.ts';

export type CommandLine =
  | { readonly command: 'help' | 'version' }
  | { readonly command: 'dev' | 'start'; readonly application: string }
  | { readonly command: 'explain'; readonly url: string; readonly json: boolean }
  | {
      readonly command: 'explain-statement';
      /** `-` for the standard input. */
      readonly sql: string;
      /** In order; null for NULL. Undefined if none are given. */
      readonly parameters: readonly (string | null)[] | undefined;
      readonly searchPath: string | undefined;
      readonly declared: readonly DeclaredFunction[];
      readonly application: string | undefined;
      readonly json: boolean;
    }
  | { readonly command: 'doctor'; readonly application: string | undefined; readonly json: boolean }
  | { readonly command: 'config'; readonly production: boolean; readonly json: boolean }
  | { readonly command: 'torture'; readonly torture: TortureWords }
  | { readonly command: 'lab'; readonly words: readonly string[] };

export { UsageError } from './usage-error.ts';

const COMMANDS: Readonly<Record<string, { readonly usage: string; readonly options: readonly string[] }>> = {
  dev: { usage: 'vazao dev <app>', options: [] },
  start: { usage: 'vazao start <app>', options: [] },
  explain: {
    usage: "vazao explain <url>, or vazao explain --sql '<statement>' [app]",
    options: ['json', 'sql', 'param', 'search-path', 'declare'],
  },
  doctor: { usage: 'vazao doctor [app]', options: ['json'] },
  config: { usage: 'vazao config', options: ['json', 'production'] },
  torture: { usage: TORTURE_USAGE, options: [] },
  lab: { usage: 'vazao lab run <scenario|app>', options: [] },
};
const GLOBAL_OPTIONS = ['help', 'version'];
/** As PostgreSQL's COPY writes it. */
const NULL_WORD = '\\N';
const VALUED = ['sql', 'param', 'search-path', 'declare'] as const;
type Valued = (typeof VALUED)[number];

/** Understands the words after `vazao`. Throws {@link UsageError}. */
export function parseCommandLine(words: readonly string[]): CommandLine {
  const asksForHelp = words.some((word) => ['--help', '-h', '--version', '-v'].includes(word));
  if (words[0] === 'lab' && !asksForHelp) return { command: 'lab', words: words.slice(1) };
  if (words[0] === 'torture' && !asksForHelp) {
    return { command: 'torture', torture: parseTortureWords(words.slice(1)) };
  }
  const valued = Object.fromEntries(VALUED.map((name) => [name, { type: 'string' as const }]));
  const { tokens } = parseArgs({
    args: [...words],
    options: valued,
    strict: false,
    allowPositionals: true,
    tokens: true,
  });
  const options = new Set<string>();
  const values: Record<Valued, string[]> = { sql: [], param: [], 'search-path': [], declare: [] };
  const operands: string[] = [];
  for (const token of tokens) {
    if (token.kind === 'positional') operands.push(token.value);
    if (token.kind !== 'option') continue;
    if (Object.hasOwn(values, token.name)) {
      if (token.value === undefined) throw new UsageError(`${token.rawName} needs a value.`);
      values[token.name as Valued].push(token.value);
    } else if (token.inlineValue) throw new UsageError(`${token.rawName} takes no value.`);
    options.add({ h: 'help', v: 'version' }[token.name] ?? token.name);
  }
  const [name, operand, ...surplus] = operands;
  if (options.has('help') || name === 'help') return { command: 'help' };
  if (options.has('version')) return { command: 'version' };
  if (name === undefined) {
    throw new UsageError(
      'Which command? Known are dev, start, config, explain, doctor, torture and lab; `vazao --help` tells more.',
    );
  }
  const command = Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : undefined;
  if (!command) throw new UsageError(`There is no command ${name}${didYouMean(name, Object.keys(COMMANDS))}`);
  for (const option of options) {
    const known = [...command.options, ...GLOBAL_OPTIONS];
    if (known.includes(option)) continue;
    const dashed = option.length === 1 ? `-${option}` : `--${option}`;
    throw new UsageError(
      `\`vazao ${name}\` has no option ${dashed}${didYouMean(
        dashed,
        known.map((candidate) => `--${candidate}`),
      )}`,
    );
  }
  if (name === 'config' && operand !== undefined) surplus.unshift(operand);
  if (surplus.length > 0) throw new UsageError(`One word too many: ${surplus[0]}. Usage: ${command.usage}`);
  const json = options.has('json');
  if (name === 'config') return { command: name, production: options.has('production'), json };
  if (name === 'doctor') return { command: name, application: operand, json };
  if (name === 'explain' && options.has('sql')) return statementLine(values, operand, json);
  const stray = VALUED.find((option) => options.has(option));
  if (stray !== undefined) throw new UsageError(`--${stray} goes with --sql. Usage: ${command.usage}`);
  if (operand === undefined) throw new UsageError(`Something is missing. Usage: ${command.usage}`);
  return name === 'explain'
    ? { command: name, url: operand, json }
    : { command: name as 'dev' | 'start', application: operand };
}

function statementLine(
  values: Readonly<Record<Valued, readonly string[]>>,
  application: string | undefined,
  json: boolean,
): CommandLine {
  for (const name of ['sql', 'search-path'] as const) {
    if (values[name].length > 1) throw new UsageError(`--${name} is given twice.`);
  }
  const [sql = ''] = values.sql;
  if (sql.trim() === '') throw new UsageError('--sql needs a statement, or - for the standard input.');
  const parameters = values.param.map((value) => (value === NULL_WORD ? null : value));
  return {
    command: 'explain-statement',
    sql,
    parameters: parameters.length > 0 ? parameters : undefined,
    searchPath: values['search-path'][0],
    declared: values.declare.map(readDeclared),
    application,
    json,
  };
}

/** `schema.name=arguments`, or `schema.name=table,table`. */
function readDeclared(word: string): DeclaredFunction {
  const equals = word.indexOf('=');
  const [name, reads] = [word.slice(0, equals), word.slice(equals + 1)];
  const declared: DeclaredFunction = { name, reads: reads === 'arguments' ? reads : reads.split(',') };
  try {
    if (equals > 0) assertDeclared([declared]);
  } catch (error) {
    throw new UsageError(`--declare ${word}: ${(error as Error).message.replace(/^declaredFunctions: /, '')}`);
  }
  if (equals > 0) return declared;
  throw new UsageError(`--declare ${word} says not what it reads: name=arguments, or name=table,table.`);
}
