import { type Snapshot, sees } from './snapshot.ts';

/**
 * Transactions that may commit, or may have committed, without the feed having seen all that they did:
 *
 * - those running when the slot became consistent. A transaction may have written its commit record before that point
 *   and still be running to every snapshot (a synchronous standby makes that window long): its commit is never delivered;
 * - those running when a table came into the publication: what they did to it before may have been filtered away, and
 *   their commit is delivered without it. So the delivery of a commit clears nobody.
 *
 * An answer whose snapshot lists a suspect as running may therefore become wrong without notice, and must not be kept.
 *
 * The set is replaced, never altered, and a reader must take it *before* it takes its snapshot: a suspect is dropped when a
 * snapshot saw it, and every snapshot that is taken after that sees it too; an older one need not.
 */
export class Suspects {
  #set: ReadonlySet<bigint> = new Set();

  get set(): ReadonlySet<bigint> {
    return this.#set;
  }

  add(snapshot: Snapshot): void {
    if (snapshot.running.size > 0) this.#set = new Set([...this.#set, ...snapshot.running]);
  }

  replace(snapshot: Snapshot): void {
    this.#set = snapshot.running;
  }

  clear(snapshot: Snapshot): void {
    if (this.#set.size === 0) return;
    const left = [...this.#set].filter((xid) => !sees(snapshot, xid));
    if (left.length < this.#set.size) this.#set = new Set(left);
  }
}
