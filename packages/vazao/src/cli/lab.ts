/** `vazao lab …`: each command in a module of its own, imported when it is asked for. */
import { assertPeer } from '../peer/load-peer.ts';
import { didYouMean } from '../runtime/nearest.ts';
import { UsageError } from './usage-error.ts';

type LabCommand = (words: readonly string[]) => Promise<number>;

const COMMANDS: Readonly<Record<string, () => Promise<LabCommand>>> = {
  types: async () => (await import('./lab-types.ts')).writeLabTypes,
  run: async () => (await import('./lab-run.ts')).runLab,
  compare: async () => (await import('./lab-compare.ts')).compareLab,
  report: async () => (await import('./lab-report.ts')).reportLab,
  plan: async () => (await import('./lab-plan.ts')).planLab,
};

/** Resolves with the exit code. @param words - after `vazao lab` */
export async function lab(words: readonly string[]): Promise<number> {
  const [name, ...rest] = words;
  const names = Object.keys(COMMANDS);
  if (name === undefined) throw new UsageError(`Which command of the lab? Known are ${names.join(', ')}.`);
  const load = Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : undefined;
  if (!load) throw new UsageError(`The lab has no command ${name}${didYouMean(name, names)}`);
  assertPeer('hdr-histogram-js', 'The lab');
  const command = await load();
  return command(rest);
}
