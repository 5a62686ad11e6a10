/** How a server is told which rule to break. */
import { extname } from 'node:path';

export const MUTATION_VARIABLE = 'TORTURE_MUTATION';

/** Environment variables that make a server break the rule of that name. */
export function breakRule(name: string): Readonly<Record<string, string>> {
  const hook = new URL(`./entry/mutation-hook${extname(import.meta.url)}`, import.meta.url);
  return { [MUTATION_VARIABLE]: name, NODE_OPTIONS: `--import=${hook.href}` };
}
