/** Who wants to know when an answer is no longer the current one: streams that follow it, and the refresh of what is hot. */
import type { Entry } from './entry.ts';

/**
 * `dropped`: a change, or a hand, has ended it. `evicted`: nothing is known against it, but nobody watches over it any more.
 * `replaced`: something else stands under its key now.
 */
export type Ending = 'dropped' | 'evicted' | 'replaced';

/** Called in the middle of applying a commit or of storing: note it, and do the work in a later turn. Must not throw. */
export type EndingListener<V> = (entry: Entry<V>, ending: Ending) => void;

const ENDINGS = { evict: 'evicted', replace: 'replaced', delete: 'dropped' } as const;

export class Endings<V> {
  readonly #listeners: EndingListener<V>[] = [];

  listen(listener: EndingListener<V>): void {
    this.#listeners.push(listener);
  }

  tell(entry: Entry<V>, ending: Ending): void {
    for (const listener of this.#listeners) listener(entry, ending);
  }

  /** An entry has left the cache's entries. One that was kept as stale had ended before, and is told of once. */
  tellOfDisposal(entry: Entry<V>, reason: keyof typeof ENDINGS): void {
    if (entry.staleSinceMs === Number.POSITIVE_INFINITY) this.tell(entry, ENDINGS[reason]);
  }
}
