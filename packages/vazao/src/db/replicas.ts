/**
 * The replicas of a pool: which of them a fill may read from, and what it must have replayed for that.
 *
 * What is needed. Nothing may be shown that is older than what this host has shown, or than what a reader has seen. The
 * feed's position would do, and is too much: it moves on with every record in the log, and a replica a millisecond behind
 * would hardly ever have it. It is enough that the replica has replayed
 *
 *   - the last commit that the feed has delivered. Answers show published tables only (a statement that reads others leaves
 *     the fill), and those change by nothing but the commits that the feed delivers. Cached answers show no commit that the
 *     feed has not delivered, for they leave only when it has passed their position; and a reader that carries a token is
 *     not let into a fill before the feed has passed the token's position, so what it has seen is delivered too;
 *   - the position at which the catalog was read: with an older schema the statement would read something else than its
 *     read set says. The catalog is read at the start of each epoch, so this is also after all that was shown before it.
 *
 * It is taken when the fill is opened: who joins later gets the answer by the cache's own rules (`cache/fill.ts`).
 *
 * What is too much. A replica shows a commit as soon as it has its record; the primary only when its synchronous standbys
 * have answered. An answer that shows such a commit is held back until the primary shows it too (`Cache.isAhead`); and while
 * the primary is seen to be slow at it, no fill goes to a replica.
 */
import type pg from 'pg';
import { type Feed, originOf, sees } from '../feed/index.ts';
import type { Analysis } from './analysis.ts';
import { Replica, type ReplicaFigures, type ReplicaStandard } from './replica.ts';

/** The part of a feed that replicas are judged by. */
export type ReplicaFeed = Pick<Feed, 'on' | 'status' | 'suspects'>;

/** Between two heartbeats; more than that is taken for a primary that is slow. */
const UNCONFIRMED_MAX = 10_000;

export class Replicas {
  readonly #replicas: readonly Replica[];
  readonly #feed: ReplicaFeed;
  readonly #isFresh: () => boolean;
  readonly #analysis: Analysis;
  #lastCommit = 0n;
  /** Transactions whose commit was delivered, and not seen by a heartbeat's snapshot yet. */
  #unconfirmed: bigint[] = [];
  /** Those that the last heartbeat did not see. */
  #missed: ReadonlySet<bigint> = new Set();
  #isPrimarySlow = false;
  #next = 0;
  #isPrepared = false;

  /** @param isFresh - whether all has been told that was shown: only then is what it needs known */
  constructor(connections: readonly pg.PoolConfig[], feed: ReplicaFeed, analysis: Analysis, isFresh: () => boolean) {
    this.#feed = feed;
    this.#isFresh = isFresh;
    this.#analysis = analysis;
    const standard = () => ({
      ...pickServer(feed),
      quickSettings: analysis.quickSettings,
      serverSettings: analysis.serverSettings,
      needed: this.needed,
    });
    this.#replicas = connections.map((connection) => new Replica(connection, standard));
    feed.on('commit', (commit) => {
      this.#lastCommit = commit.position;
      if (this.#unconfirmed.length < UNCONFIRMED_MAX) this.#unconfirmed.push(commit.xid);
      else this.#isPrimarySlow = true;
    });
    feed.on('snapshot', (snapshot) => {
      const unseen = this.#unconfirmed.filter((xid) => !sees(snapshot, xid));
      // One heartbeat may miss a commit that came right after its snapshot; a slow commit is missed by the next one too.
      this.#isPrimarySlow = unseen.some((xid) => this.#missed.has(xid));
      this.#missed = new Set(unseen);
      this.#unconfirmed = unseen;
    });
    feed.on('epoch', () => {
      this.#lastCommit = 0n; // of another timeline, perhaps
      this.#unconfirmed = [];
      this.#missed = new Set();
      this.#isPrimarySlow = false;
      if (this.#isPrepared) for (const replica of this.#replicas) replica.restart();
    });
  }

  /** What a replica must have replayed to be used now. */
  get needed(): bigint {
    const afterCatalog = this.#analysis.position;
    if (afterCatalog > this.#lastCommit) return afterCatalog;
    return this.#lastCommit;
  }

  /** Resolves when each has been asked once, or has not answered in time. */
  async prepare(): Promise<void> {
    this.#isPrepared = true;
    await Promise.all(this.#replicas.map((replica) => replica.probe()));
  }

  /** The ready one with the fewest connections in use, by turns among equals; undefined when none is. */
  choose(): Replica | undefined {
    // A transaction that the feed may not have seen whole can't be recognized in a replica's snapshot.
    if (!this.#isFresh() || this.#feed.suspects.size > 0 || this.#isPrimarySlow) return undefined;
    const count = this.#replicas.length;
    const start = this.#next++ % Math.max(1, count);
    let best: Replica | undefined;
    for (let i = 0; i < count; i++) {
      const replica = this.#replicas[(start + i) % count] as Replica;
      if (!replica.isReady) continue;
      if (replica.isFull) replica.refuse('busy');
      else if (!best || replica.busy < best.busy) best = replica;
    }
    return best;
  }

  figures(): readonly ReplicaFigures[] {
    return this.#replicas.map((replica) => replica.figures());
  }

  async end(): Promise<void> {
    await Promise.all(this.#replicas.map((replica) => replica.end()));
  }
}

function pickServer(feed: ReplicaFeed): Pick<ReplicaStandard, 'source' | 'systemId' | 'timeline'> {
  const status = feed.status();
  return { source: originOf(status), systemId: status.systemId, timeline: status.timeline };
}
