import { parseArgs } from 'node:util';
import { didYouMean } from '../runtime/nearest.ts';

export type CommandLine =
  | { readonly command: 'help' | 'version' }
  | { readonly command: 'dev' | 'start'; readonly application: string }
  | { readonly command: 'explain'; readonly url: string; readonly json: boolean }
  | { readonly command: 'doctor'; readonly application: string | undefined; readonly json: boolean };

/** A command line that can't be understood; the message is one sentence. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}

const COMMANDS: Readonly<Record<string, { readonly usage: string; readonly options: readonly string[] }>> = {
  dev: { usage: 'vazao dev <app>', options: [] },
  start: { usage: 'vazao start <app>', options: [] },
  explain: { usage: 'vazao explain <url>', options: ['json'] },
  doctor: { usage: 'vazao doctor [app]', options: ['json'] },
};
const GLOBAL_OPTIONS = ['help', 'version'];

/** Understands the words after `vazao`. Throws {@link UsageError}. */
export function parseCommandLine(words: readonly string[]): CommandLine {
  const { tokens } = parseArgs({ args: [...words], strict: false, allowPositionals: true, tokens: true });
  const options = new Set<string>();
  const operands: string[] = [];
  for (const token of tokens) {
    if (token.kind === 'positional') operands.push(token.value);
    if (token.kind !== 'option') continue;
    if (token.inlineValue) throw new UsageError(`${token.rawName} takes no value.`);
    options.add({ h: 'help', v: 'version' }[token.name] ?? token.name);
  }
  const [name, operand, ...surplus] = operands;
  if (options.has('help') || name === 'help') return { command: 'help' };
  if (options.has('version')) return { command: 'version' };
  if (name === undefined) {
    throw new UsageError('Which command? Known are dev, start, explain and doctor; `vazao --help` tells more.');
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
  if (surplus.length > 0) throw new UsageError(`One word too many: ${surplus[0]}. Usage: ${command.usage}`);
  const json = options.has('json');
  if (name === 'doctor') return { command: name, application: operand, json };
  if (operand === undefined) throw new UsageError(`Something is missing. Usage: ${command.usage}`);
  return name === 'explain'
    ? { command: name, url: operand, json }
    : { command: name as 'dev' | 'start', application: operand };
}
