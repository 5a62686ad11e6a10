/** The users of a scenario: who they are, what they do next. */
import { LabError } from '../errors.ts';
import type { Scenario, Step, User } from '../scenario/scenario.ts';
import type { Connection } from './connection.ts';
import { Cookies } from './cookies.ts';
import { createRandom, type Random } from './random.ts';

export interface VirtualUser extends User {
  readonly random: Random;
  readonly cookies: Cookies;
  isLoggedIn: boolean;
  /** The user's own, in the closed model. */
  connection: Connection | undefined;
}

/** A step with its position in the figures. */
export interface IndexedStep {
  readonly step: Step;
  readonly index: number;
  readonly followedBy: readonly IndexedStep[];
}

export interface Script {
  readonly login: IndexedStep | undefined;
  readonly steps: readonly IndexedStep[];
  /** Names of all steps, those that follow others and the log-in among them. */
  readonly names: readonly string[];
}

const STEPS_MAX = 200;

/** Throws {@link LabError} for a scenario that can't run. */
export function createScript(scenario: Scenario): Script {
  const names: string[] = [];
  const add = (step: Step): IndexedStep => {
    if (typeof step.name !== 'string' || step.name === '' || names.includes(step.name)) {
      throw new LabError('ERR_LAB_SCENARIO', `Each step has a name of its own; ${JSON.stringify(step.name)} is none.`);
    }
    if (!((step.weight ?? 1) >= 0)) {
      throw new LabError('ERR_LAB_SCENARIO', `The weight of ${step.name} is ${step.weight}; allowed is 0 and more.`);
    }
    if (names.length >= STEPS_MAX) throw new LabError('ERR_LAB_SCENARIO', `A scenario has at most ${STEPS_MAX} steps.`);
    const index = names.push(step.name) - 1;
    return { step, index, followedBy: (step.followedBy ?? []).map(add) };
  };
  const login = scenario.login && add(scenario.login);
  const steps = scenario.steps.map(add);
  if (!steps.some(({ step }) => (step.weight ?? 1) > 0)) {
    throw new LabError('ERR_LAB_SCENARIO', `${scenario.name} has no step with a weight above 0.`);
  }
  return { login, steps, names };
}

export function createUser(index: number, seed: number): VirtualUser {
  return {
    index,
    values: {},
    random: createRandom(seed, index + 1),
    cookies: new Cookies(),
    isLoggedIn: false,
    connection: undefined,
  };
}

/** By weight, of the steps that the user has the values for; undefined if there is none. */
export function chooseStep({ steps }: Script, user: VirtualUser): IndexedStep | undefined {
  if (steps.length === 1 && steps[0]?.step.needs === undefined) return steps[0];
  let sum = 0;
  for (const { step } of steps) if (canDo(user, step)) sum += step.weight ?? 1;
  let at = user.random.next() * sum;
  for (const candidate of steps) {
    if (!canDo(user, candidate.step)) continue;
    at -= candidate.step.weight ?? 1;
    if (at < 0) return candidate;
  }
  return undefined;
}

function canDo(user: VirtualUser, { needs }: Step): boolean {
  return needs === undefined || needs.every((name) => user.values[name] !== undefined);
}
