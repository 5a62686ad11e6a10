/** Where the counts of the limits are kept, so that all processes count together. */
import type { Count } from './window-counter.ts';

export interface RatePolicy {
  /** Stands in keys and in fields: letters, digits, `-`, `_`, `.`, `:`, `/`. */
  readonly name: string;
  readonly requests: number;
  readonly windowMs: number;
}

export interface RateStore {
  /** Counts, and tells what was counted in this window, these points among it. Rejects when the store does not answer. */
  consume(policy: RatePolicy, key: string, points: number): Promise<Count>;
  /** @defaultValue nothing is to be closed */
  close?(): Promise<void>;
}
