import type { CacheFeed } from '../cache/index.ts';
import type { Commit, FeedEvents } from '../feed/index.ts';
import type { Change } from '../readset/index.ts';

/** A feed that does what it is told, on a clock that stands still until it is moved. */
export class FakeFeed implements CacheFeed {
  position = 0n;
  epoch = 1;
  suspects: ReadonlySet<bigint> = new Set();
  fresh = true;
  sequence = 0;
  readonly #listeners: { [Name in keyof FeedEvents]?: readonly ((...args: FeedEvents[Name]) => void)[] } = {};

  isFresh(): boolean {
    return this.fresh;
  }

  on<Name extends keyof FeedEvents>(name: Name, listener: (...args: FeedEvents[Name]) => void): () => void {
    Object.assign(this.#listeners, { [name]: [...(this.#listeners[name] ?? []), listener] });
    return () => {};
  }

  emit<Name extends keyof FeedEvents>(name: Name, ...args: FeedEvents[Name]): void {
    for (const listener of this.#listeners[name] ?? []) listener(...args);
  }

  commit(xid: bigint, changes: readonly Change[], more: Partial<Commit> = {}): void {
    const sequence = ++this.sequence;
    const position = this.position + 1n;
    this.emit('commit', {
      sequence,
      position,
      xid,
      committedAtMs: 0,
      receivedAtMs: 0,
      changes,
      schemaChanged: false,
      ...more,
    });
    this.position = position;
  }

  newEpoch(): void {
    this.emit('epoch', ++this.epoch, 'stream lost');
  }
}
