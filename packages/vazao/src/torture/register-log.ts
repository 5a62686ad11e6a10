/** The writes of one register. They are made one after the other, so versions, acknowledgements and commits have one order. */
import type { Write } from './history.ts';

export class RegisterLog {
  /** By version. Version 0 was there before the first write. */
  readonly writes: (Write | undefined)[] = [undefined];
  /** The write that was taken back last. */
  lastVoid: Write | undefined;
  /** Those that are in the database for certain, in their order; their versions and ends both grow. */
  readonly #done: Write[] = [];
  readonly #versions: number[] = [];

  /** The version that the next write is to have. */
  get next(): number {
    return this.writes.length;
  }

  /** The last version that is in the database for certain. */
  get last(): number {
    return this.#versions.at(-1) ?? 0;
  }

  /** True while a write is open or its outcome unknown: the next has to wait. */
  get isBusy(): boolean {
    const outcome = this.writes.at(-1)?.outcome;
    return outcome === 'open' || outcome === 'unknown';
  }

  add(write: Write): void {
    this.writes.push(write);
  }

  /** The last write did not happen: its version is given to the next. What a register holds depends on its version alone. */
  takeBack(write: Write): void {
    this.writes.pop();
    this.lastVoid = write;
  }

  /** The write of the version is in the database. */
  done(write: Write, version: number): void {
    this.#done.push(write);
    this.#versions.push(version);
  }

  /** The last version whose write had ended by then. */
  guaranteed(atMs: number): number {
    const count = countBelow(this.#done.length, (index) => (this.#done[index] as Write).endedAtMs <= atMs);
    return count === 0 ? 0 : (this.#versions[count - 1] as number);
  }

  /** For how long, at that time, the version had been out of date: since the end of the oldest newer write. */
  stalenessMs(version: number, atMs: number): number {
    if (version >= this.last) return 0;
    const newer = this.#done[countBelow(this.#done.length, (index) => (this.#versions[index] as number) <= version)];
    return newer ? Math.max(0, atMs - newer.endedAtMs) : 0;
  }

  /** The last version below that is in the database for certain. */
  before(version: number): number {
    const count = countBelow(this.#done.length, (index) => (this.#versions[index] as number) < version);
    return count === 0 ? 0 : (this.#versions[count - 1] as number);
  }
}

/** How many of the first items hold, where those that hold come first. */
function countBelow(length: number, holds: (index: number) => boolean): number {
  let low = 0;
  let high = length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (holds(middle)) low = middle + 1;
    else high = middle;
  }
  return low;
}
