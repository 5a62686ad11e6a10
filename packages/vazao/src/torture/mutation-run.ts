/** Breaks one rule of the cache after the other, and sees whether it is noticed. */
import { FAULT_KINDS } from './fault-kinds.ts';
import { breakRule } from './mutation-environment.ts';
import { MUTATIONS, type Mutation } from './mutations.ts';
import type { Stage } from './stage.ts';
import { runTorture, type TortureOptions } from './torture.ts';

export interface MutationOutcome {
  readonly mutation: Mutation;
  /** From the first read to the first violation; undefined: it went unnoticed. */
  readonly caughtAfterMs: number | undefined;
  readonly kind: string | undefined;
  readonly account: string | undefined;
  /** The part that is not there, so that the rule could not be broken. */
  readonly notAvailable: string | undefined;
}

/** Each has to be noticed in this time. */
export const MUTATION_SECONDS = 60;

export type MutationOptions = Pick<TortureOptions, 'application' | 'profile' | 'seed' | 'onProgress' | 'signal'> & {
  readonly stage: Stage;
};

export async function runMutation(mutation: Mutation, options: MutationOptions): Promise<MutationOutcome> {
  const { stage } = options;
  const nothing = { mutation, caughtAfterMs: undefined, kind: undefined, account: undefined };
  if (mutation.needs !== undefined && !stage.knows(mutation.needs)) return { ...nothing, notAvailable: mutation.needs };
  await stage.reset();
  const { checker, startedAtMs, accounts } = await runTorture({
    ...options,
    seconds: MUTATION_SECONDS,
    kinds: FAULT_KINDS.filter(({ name }) => mutation.faults.includes(name)),
    environment: breakRule(mutation.name),
    untilViolation: true,
  });
  // That requests fail is no proof that somebody looked at what they answer.
  const violation = checker.violations.find(({ kind }) => kind !== 'unavailable');
  return {
    mutation,
    caughtAfterMs: violation && violation.atMs - startedAtMs,
    kind: violation?.kind,
    account: accounts.find(({ text }) => violation && text.startsWith(`${violation.kind}, `))?.text,
    notAvailable: undefined,
  };
}

/** Those of a list of names, or all; undefined when one of the names is not there. */
export function findMutations(names: string): readonly Mutation[] | undefined {
  if (names === 'all') return MUTATIONS;
  const found = names.split(',').map((name) => MUTATIONS.find((mutation) => mutation.name === name.trim()));
  return found.every((mutation) => mutation !== undefined) ? found : undefined;
}
