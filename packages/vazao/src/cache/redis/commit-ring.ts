import type { Commit } from '../../feed/index.ts';

/**
 * The last commits of the own feed, for a relay that begins where another has ended, and for one that has fallen behind.
 * They are kept as they came: whoever does not lead computes no tags.
 */
export class CommitRing {
  readonly #commitsMax: number;
  readonly #changesMax: number;
  #commits: Commit[] = [];
  #changes = 0;
  #coveredFrom: bigint | undefined;

  constructor(bounds: { readonly commitsMax: number; readonly changesMax: number }) {
    this.#commitsMax = bounds.commitsMax;
    this.#changesMax = bounds.changesMax;
  }

  /** Every commit after the position is here. */
  covers(position: bigint): boolean {
    return this.#coveredFrom !== undefined && this.#coveredFrom <= position;
  }

  /** No commit after this position is missing; undefined while nothing is sure. */
  get coveredFrom(): bigint | undefined {
    return this.#coveredFrom;
  }

  get isTrusted(): boolean {
    return this.#coveredFrom !== undefined;
  }

  /** Begins anew. @param position - from where on the feed tells everything; undefined while that is not sure */
  restart(position: bigint | undefined): void {
    this.#commits = [];
    this.#changes = 0;
    this.#coveredFrom = position;
  }

  add(commit: Commit): void {
    if (this.#coveredFrom === undefined) return;
    this.#commits.push(commit);
    this.#changes += commit.changes.length;
    if (this.#commits.length <= this.#commitsMax && this.#changes <= this.#changesMax) return;
    // Half at once, so that a full ring costs a copy now and then, and not with each commit.
    const gone = this.#commits.splice(0, Math.ceil(this.#commits.length / 2));
    this.#coveredFrom = gone.at(-1)?.position ?? this.#coveredFrom;
    for (const { changes } of gone) this.#changes -= changes.length;
  }

  /** The commits after one position and up to another, oldest first. */
  between(after: bigint, upTo: bigint): Commit[] {
    let first = this.#commits.length;
    while (first > 0 && (this.#commits[first - 1] as Commit).position > after) first--;
    const found = this.#commits.slice(first);
    return found.filter(({ position }) => position <= upTo);
  }
}
