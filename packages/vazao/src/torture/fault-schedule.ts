/**
 * Which fault follows which: a function of the seed alone. In a round each kind comes once, in an order in which few wait for
 * a part that another has broken; when each begins is up to the machine, but none overtakes another.
 */
import type { FaultKind, FaultPlan, FaultWorld } from './fault.ts';
import type { Random } from './random.ts';

export interface PlannedFault {
  readonly kind: FaultKind;
  readonly plan: FaultPlan;
  /** Its own, so that what it does depends on nothing that came before. */
  readonly random: Random;
}

/** What begins together: a fault, or one and what accompanies it. */
export type FaultGroup = readonly PlannedFault[];

export interface RoundOptions {
  readonly world: FaultWorld;
  readonly kinds: readonly FaultKind[];
  /** At the same time. */
  readonly lanes: number;
  readonly random: Random;
}

/** The groups of the round with this number, in their order. */
export function planRound(number: number, { world, kinds, lanes, random: seeded }: RoundOptions): FaultGroup[] {
  const random = seeded.fork(`round ${number}`);
  const groups = group(number, random.shuffle(kinds)).map((each) =>
    each.flatMap((kind): PlannedFault[] => {
      const own = random.fork(`${number} ${kind.name}`);
      const plan = kind.plan(world, own);
      return plan ? [{ kind, plan, random: own }] : [];
    }),
  );
  return arrange(
    groups.filter(({ length }) => length > 0),
    lanes,
  );
}

/** Who accompanies others goes with another of them in each round. */
function group(number: number, kinds: readonly FaultKind[]): (readonly FaultKind[])[] {
  const grouped = new Set<FaultKind>();
  const groups: (readonly FaultKind[])[] = [];
  for (const kind of kinds) {
    const { accompanies = [] } = kind;
    const others = accompanies.flatMap((name) => kinds.find((other) => other.name === name) ?? []);
    const other = others[number % Math.max(1, others.length)];
    if (!other) continue;
    groups.push([kind, other]);
    grouped.add(kind).add(other);
  }
  const rest = kinds.filter((kind) => !grouped.has(kind)).map((kind) => [kind]);
  // Where the first of a pair stood in the order that was drawn.
  return [...groups, ...rest].sort(([a], [b]) => kinds.indexOf(a as FaultKind) - kinds.indexOf(b as FaultKind));
}

/**
 * In the order in which they would begin if each lasted as long as its kind does on average: the next is the first whose parts
 * are free, but what the first of all waits for is given to no other.
 */
function arrange(groups: readonly FaultGroup[], lanes: number): FaultGroup[] {
  const waiting = [...groups];
  const arranged: FaultGroup[] = [];
  let running: { readonly takes: readonly string[]; readonly endsAt: number }[] = [];
  let now = 0;
  while (waiting.length > 0) {
    const taken = new Set(running.flatMap(({ takes }) => takes));
    const index = waiting.findIndex((each) => {
      const isFree = takesOf(each).every((name) => !taken.has(name));
      if (!isFree && each === waiting[0]) for (const name of takesOf(each)) taken.add(name);
      return isFree;
    });
    const next = waiting[index];
    if (next && hasRoom(running.length, next.length, lanes)) {
      waiting.splice(index, 1);
      arranged.push(next);
      for (const { kind, plan } of next) running.push({ takes: plan.takes, endsAt: now + kind.typicalMs });
    } else {
      now = Math.min(...running.map(({ endsAt }) => endsAt));
      running = running.filter(({ endsAt }) => endsAt > now);
    }
  }
  return arranged;
}

export function takesOf(faults: FaultGroup): readonly string[] {
  return faults.flatMap(({ plan }) => plan.takes);
}

/** A group begins together, or alone where there are fewer lanes. */
export function hasRoom(running: number, more: number, lanes: number): boolean {
  return running + more <= Math.max(lanes, more);
}
