/**
 * When faults come: in rounds of all kinds, spread evenly over the run, each as fast as parts and lanes allow. What is left of
 * a round's time is quiet, so that there is something in the cache when the next begins.
 *
 *   round 0 ───► quiet ──► round 1 ─────► quiet ──► …
 *   └────── period ──────┘└────── period ───────┘
 *
 * With few kinds each fault has its own pause before it: a fault every 27 s would take long to find anything.
 */
import type { FaultKind, FaultWorld } from './fault.ts';
import { type FaultGroup, hasRoom, type PlannedFault, planRound, takesOf } from './fault-schedule.ts';
import type { Random } from './random.ts';

export interface FaultRecord {
  readonly kind: string;
  readonly detail: string;
  /** The only host that feels it; undefined: all of them. */
  readonly host: string | undefined;
  /** Requests may fail meanwhile. */
  readonly excuses: boolean;
  /** Processes of the host start again. */
  readonly restarts: boolean;
  readonly startedAtMs: number;
  /** Infinite while it lasts. */
  endedAtMs: number;
  /** All is as it was before; infinite until then. */
  mendedAtMs: number;
}

export interface FaultSchedulerOptions {
  readonly world: FaultWorld;
  readonly random: Random;
  readonly clock: () => number;
  readonly kinds: readonly FaultKind[];
  /** At the same time. */
  readonly lanes: number;
  /** From the beginning of a round to that of the next. */
  readonly periodMs: number;
  readonly signal: AbortSignal;
}

/** Between two rounds, at least. */
const REST_MS = 1_000;
const FEW = 4;
const PAUSE_OF_FEW_MAX_MS = 3_000;
/** What accompanies a fault has begun by then. */
const ACCOMPANIED_AFTER_MS = 200;
const READY_TIMEOUT_MS = 3_000;
const WAIT_MS = 50;
/** No fault lasts as long as so many after it. */
const LOOKED_BACK = 50;

export class FaultScheduler {
  readonly records: FaultRecord[] = [];
  readonly #options: FaultSchedulerOptions;
  readonly #taken = new Set<string>();
  readonly #running = new Set<Promise<void>>();

  constructor(options: FaultSchedulerOptions) {
    this.#options = options;
  }

  /** Resolves when the signal has ended it, and all is mended. Throws what a part of the stage throws. */
  async run(): Promise<void> {
    const { kinds, clock, periodMs, signal } = this.#options;
    if (kinds.length === 0) return;
    const startedAtMs = clock();
    for (let number = 0; !signal.aborted; number++) {
      if (kinds.length > FEW) await pause(Math.max(REST_MS, startedAtMs + number * periodMs - clock()), signal);
      await this.#runRound(number);
    }
  }

  /** Lasts, or has ended so recently that its consequences may be felt. Newest first. */
  inForce(fromMs: number, toMs: number, afterMs: number): readonly FaultRecord[] {
    const found: FaultRecord[] = [];
    for (let at = this.records.length - 1; at >= this.#oldest; at--) {
      const record = this.records[at] as FaultRecord;
      if (record.startedAtMs <= toMs && record.endedAtMs + afterMs >= fromMs) found.push(record);
    }
    return found;
  }

  /** Nothing is broken, or being mended, and has not been for so long. Asked for each read. */
  isQuiet(atMs: number, afterMs: number): boolean {
    for (let at = this.records.length - 1; at >= this.#oldest; at--) {
      const { startedAtMs, mendedAtMs } = this.records[at] as FaultRecord;
      if (startedAtMs <= atMs && mendedAtMs + afterMs >= atMs) return false;
    }
    return true;
  }

  get #oldest(): number {
    return Math.max(0, this.records.length - LOOKED_BACK);
  }

  async #runRound(number: number): Promise<void> {
    const { kinds, random, signal } = this.#options;
    const isFew = kinds.length <= FEW;
    const lanes = isFew ? 1 : this.#options.lanes;
    const pauses = random.fork(`pauses ${number}`);
    for (const group of planRound(number, { ...this.#options, lanes })) {
      if (isFew) await pause(pauses.next() * PAUSE_OF_FEW_MAX_MS, signal);
      // In their order, whatever it costs: what comes first does not depend on how long anything takes.
      while (!this.#isFree(group, lanes)) await Promise.race(this.#running);
      if (signal.aborted) break;
      if (await this.#isReady(group)) await this.#begin(group);
    }
    await Promise.all(this.#running);
  }

  #isFree(group: FaultGroup, lanes: number): boolean {
    return hasRoom(this.#running.size, group.length, lanes) && takesOf(group).every((name) => !this.#taken.has(name));
  }

  /** False when it is not possible, and has not become so after a while. */
  async #isReady(group: FaultGroup): Promise<boolean> {
    const { clock, signal } = this.#options;
    const deadline = clock() + READY_TIMEOUT_MS;
    while (group.some(({ plan }) => plan.isReady?.() === false)) {
      if (clock() > deadline || signal.aborted) return false;
      await pause(WAIT_MS, signal);
    }
    return true;
  }

  async #begin(group: FaultGroup): Promise<void> {
    for (const name of takesOf(group)) this.#taken.add(name);
    for (const [index, fault] of group.entries()) {
      if (index > 0) await new Promise((resolve) => setTimeout(resolve, ACCOMPANIED_AFTER_MS));
      // One that fails stays, and is found by whoever waits next.
      const running = this.#runFault(fault).then(() => void this.#running.delete(running));
      running.catch(() => {});
      this.#running.add(running);
    }
  }

  async #runFault({ kind, plan, random }: PlannedFault): Promise<void> {
    const { world, clock } = this.#options;
    const record: FaultRecord = {
      kind: kind.name,
      detail: plan.detail,
      host: plan.host,
      excuses: kind.excuses,
      restarts: kind.restarts ?? false,
      startedAtMs: clock(),
      endedAtMs: Number.POSITIVE_INFINITY,
      mendedAtMs: Number.POSITIVE_INFINITY,
    };
    this.records.push(record);
    try {
      await plan.run(world, random);
    } finally {
      record.endedAtMs = clock();
    }
    try {
      await plan.mend?.(world);
    } finally {
      record.mendedAtMs = clock();
      for (const name of plan.takes) this.#taken.delete(name);
    }
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
    if (signal.aborted) end();
  });
}
