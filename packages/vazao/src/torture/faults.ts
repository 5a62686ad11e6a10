/** Which faults there are, and when each comes: in rounds of all kinds, by the seed, as many at a time as don't disturb each other. */
import type { FaultKind, FaultPlan, FaultWorld } from './fault.ts';
import type { Random } from './random.ts';

export interface FaultRecord {
  readonly kind: string;
  readonly detail: string;
  /** Requests may fail meanwhile. */
  readonly excuses: boolean;
  readonly startedAtMs: number;
  /** Infinite while it lasts. */
  endedAtMs: number;
}

export interface FaultSchedulerOptions {
  readonly world: FaultWorld;
  readonly random: Random;
  readonly clock: () => number;
  readonly kinds: readonly FaultKind[];
  /** At the same time. */
  readonly lanes: number;
  readonly signal: AbortSignal;
}

/**
 * Before each fault of a lane: with two lanes each kind comes some 25 times in ten minutes. With few kinds it is longer:
 * something has to be cached between two of a kind.
 */
const PAUSE_MAX_MS = 1_500;
const PAUSE_OF_FEW_MAX_MS = 3_000;
const FEW = 4;
const WAIT_MS = 50;

export class FaultScheduler {
  readonly records: FaultRecord[] = [];
  readonly #options: FaultSchedulerOptions;
  readonly #taken = new Set<string>();
  #queue: FaultKind[] = [];

  constructor(options: FaultSchedulerOptions) {
    this.#options = options;
  }

  /** Resolves when the signal has ended it, and all is mended. Throws what a part of the stage throws. */
  async run(): Promise<void> {
    const { kinds } = this.#options;
    const lanes = kinds.length <= FEW ? 1 : this.#options.lanes;
    await Promise.all(Array.from({ length: lanes }, (_, lane) => this.#runLane(lane)));
  }

  /** A fault lasts, or has ended so recently that its consequences may be felt. */
  inForce(fromMs: number, toMs: number, afterMs: number, excusing = false): readonly FaultRecord[] {
    const found: FaultRecord[] = [];
    // The last ones are at the end, and none lasts as long as many of them.
    for (let at = this.records.length - 1; at >= Math.max(0, this.records.length - 50); at--) {
      const record = this.records[at] as FaultRecord;
      if (excusing && !record.excuses) continue;
      if (record.startedAtMs <= toMs && record.endedAtMs + afterMs >= fromMs) found.push(record);
    }
    return found;
  }

  async #runLane(lane: number): Promise<void> {
    const { world, clock, signal, kinds, random: seeded } = this.#options;
    if (kinds.length === 0) return;
    const random = seeded.fork(`lane ${lane}`);
    while (!signal.aborted) {
      await pause(random.next() * (kinds.length <= FEW ? PAUSE_OF_FEW_MAX_MS : PAUSE_MAX_MS), signal);
      if (signal.aborted) return;
      const planned = this.#next(random);
      if (!planned) {
        await pause(WAIT_MS, signal);
        continue;
      }
      const { kind, plan } = planned;
      const record: FaultRecord = {
        kind: kind.name,
        detail: plan.detail,
        excuses: kind.excuses,
        startedAtMs: clock(),
        endedAtMs: Number.POSITIVE_INFINITY,
      };
      this.records.push(record);
      try {
        await plan.run(world, random);
      } finally {
        record.endedAtMs = clock();
      }
      const release = (): void => {
        for (const name of plan.takes) this.#taken.delete(name);
      };
      if (plan.mend) await plan.mend(world).finally(release);
      else release();
    }
  }

  /** The first of the queue whose parts are free. What the head of the queue waits for is given to no other. */
  #next(random: Random): { kind: FaultKind; plan: FaultPlan } | undefined {
    const { kinds, world } = this.#options;
    if (this.#queue.length < kinds.length / 2) this.#queue.push(...random.shuffle(kinds));
    const kept = new Set<string>();
    for (const [index, kind] of this.#queue.entries()) {
      const plan = kind.plan(world, random);
      if (!plan) continue;
      if (plan.takes.some((name) => this.#taken.has(name) || kept.has(name))) {
        if (index === 0) for (const name of plan.takes) kept.add(name);
        continue;
      }
      this.#queue.splice(index, 1);
      for (const name of plan.takes) this.#taken.add(name);
      return { kind, plan };
    }
    return undefined;
  }
}

function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const end = (): void => {
      clearTimeout(timer);
      signal.removeEventListener('abort', end);
      resolve();
    };
    const timer = setTimeout(end, ms);
    signal.addEventListener('abort', end);
  });
}
