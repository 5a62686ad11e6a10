/**
 * The commits that a running fill might not have seen.
 *
 * A fill reads one snapshot. When it completes, each commit that the feed has delivered and that the snapshot did not
 * see is tried against what the fill read. Two kinds of commit can be unseen:
 *
 *   - delivered after the fill began: its snapshot may be too old for them;
 *   - delivered *before* the fill began, by a backend that had written its commit record but had not yet left the set of
 *     running transactions when the snapshot was taken. With a slow synchronous standby this window is as long as the
 *     standby is slow. (PostgreSQL, xact.c: `CommitTransaction` calls `RecordTransactionCommit`, which writes the record
 *     and waits for the standby, before `ProcArrayEndTransaction`, which makes it visible to new snapshots.)
 *
 * When a commit may be forgotten:
 *
 *   commits in order of delivery:   1  2  3  4 │ 5  6  7
 *                                   seenUpTo ──┘
 *
 * `seenUpTo` is moved on by snapshots from the heartbeats: all commits up to it are seen by one of them, hence by each
 * snapshot taken later, hence by each fill that begins later. So a fill needs only what came after the `seenUpTo` of its
 * beginning, and what all running fills have behind them can go. Where the bound forces a commit out earlier, the fills
 * that would have needed it are not stored, and `seenUpTo` stands still until a snapshot sees it.
 *
 * Answers that come from elsewhere (a replica, the second tier) are older than the fill that takes them over. They are good
 * up to a position, and need all that came after it: so some commits stay although no running fill needs them, and
 * `coveredFrom` says from where on none is missing.
 */
import { type Commit, type ReadSnapshot, type Snapshot, sees, seesCommit } from '../feed/index.ts';
import type { Values } from '../readset/index.ts';
import { RECENT_BYTES_MAX, RETAINED_BYTES_MAX, RETAINED_COMMITS_MAX } from './options.ts';

export interface RecentCommitsBounds {
  readonly commitsMax: number;
  /** @defaultValue {@link RECENT_BYTES_MAX} */
  readonly bytesMax?: number | undefined;
  /** How many stay although no running fill needs them. @defaultValue {@link RETAINED_COMMITS_MAX} */
  readonly retainedMax?: number | undefined;
}

export class RecentCommits {
  /** In order of `sequence`; the live part starts at `#start`. */
  #commits: (Commit | undefined)[] = [];
  #start = 0;
  #bytes = 0;
  #seenUpTo = 0;
  #forgottenUpTo = 0;
  /** Transactions whose commits were forced out before a snapshot was known to see them. */
  #forgottenUnseen: bigint[] = [];
  #coveredFrom: bigint;
  readonly #bounds: { readonly [Name in keyof RecentCommitsBounds]-?: number };

  /** @param position - where the feed stands: nothing before it will be added */
  constructor(position: bigint, bounds: RecentCommitsBounds) {
    this.#coveredFrom = position;
    this.#bounds = {
      commitsMax: bounds.commitsMax,
      bytesMax: bounds.bytesMax ?? RECENT_BYTES_MAX,
      retainedMax: bounds.retainedMax ?? RETAINED_COMMITS_MAX,
    };
  }

  get size(): number {
    return this.#commits.length - this.#start;
  }

  /** Each snapshot that is taken from now on sees all commits up to this sequence. */
  get seenUpTo(): number {
    return this.#seenUpTo;
  }

  /** A commit was forgotten of which no snapshot is known to see it. */
  get hasForgottenUnseen(): boolean {
    return this.#forgottenUnseen.length > 0;
  }

  /** No commit after this position has been forgotten. */
  get coveredFrom(): bigint {
    return this.#coveredFrom;
  }

  /**
   * The feed begins anew at a position. What it told before is forgotten: fills that began before are not stored, and for
   * those that begin from now on the feed names what it may not have told as suspects.
   */
  restart(position: bigint): void {
    const last = this.#commits.at(-1);
    if (last) this.#seenUpTo = this.#forgottenUpTo = last.sequence;
    this.#commits = [];
    this.#start = 0;
    this.#bytes = 0;
    this.#forgottenUnseen = [];
    this.#coveredFrom = position;
  }

  add(commit: Commit): void {
    this.#commits.push(commit);
    this.#bytes += sizeOf(commit);
    while (this.size > this.#bounds.commitsMax || (this.#bytes > this.#bounds.bytesMax && this.size > 0))
      this.#forgetOldest();
  }

  /** Learns from a snapshot what all later snapshots see. */
  observe(snapshot: Snapshot): void {
    this.#forgottenUnseen = this.#forgottenUnseen.filter((xid) => !sees(snapshot, xid));
    if (this.#forgottenUnseen.length > 0) return;
    // Those that were forced out are seen too by now; else nothing would be stored until another commit comes.
    if (this.#seenUpTo < this.#forgottenUpTo) this.#seenUpTo = this.#forgottenUpTo;
    for (let i = this.#start; i < this.#commits.length; i++) {
      const commit = this.#commits[i] as Commit;
      if (commit.sequence <= this.#seenUpTo) continue;
      if (!sees(snapshot, commit.xid)) return;
      this.#seenUpTo = commit.sequence;
    }
  }

  /** Forgets what lies behind all running fills, but for a bounded rest. @param neededAfter - the smallest `seenUpTo` that a running fill began with */
  prune(neededAfter: number): void {
    const upTo = Math.min(neededAfter, this.#seenUpTo);
    while (this.size > this.#bounds.retainedMax || (this.size > 0 && this.#bytes > RETAINED_BYTES_MAX)) {
      if ((this.#commits[this.#start] as Commit).sequence > upTo) return;
      this.#forgetOldest();
    }
  }

  /** True when every commit that a fill with this `seenUpTo` at its beginning might not see is still here. */
  covers(neededAfter: number): boolean {
    return this.#forgottenUpTo <= neededAfter;
  }

  /**
   * The remembered commits that the snapshot did not see, oldest first.
   * @param isBehind - true for commits that need not be looked at, nor any before them
   */
  *unseenBy(snapshot: ReadSnapshot, isBehind: (commit: Commit) => boolean): Generator<Commit> {
    let first = this.#commits.length;
    while (first > this.#start && !isBehind(this.#commits[first - 1] as Commit)) first--;
    for (let i = first; i < this.#commits.length; i++) {
      const commit = this.#commits[i] as Commit;
      if (!seesCommit(snapshot, commit)) yield commit;
    }
  }

  /** The commits up to the position that no snapshot of the primary is known to see, oldest first. */
  *unconfirmed(position: bigint): Generator<Commit> {
    for (let i = this.#start; i < this.#commits.length; i++) {
      const commit = this.#commits[i] as Commit;
      if (commit.position > position) return;
      if (commit.sequence > this.#seenUpTo) yield commit;
    }
  }

  #forgetOldest(): void {
    const commit = this.#commits[this.#start] as Commit;
    this.#forgottenUpTo = commit.sequence;
    this.#coveredFrom = commit.position;
    if (commit.sequence > this.#seenUpTo) this.#forgottenUnseen.push(commit.xid);
    this.#commits[this.#start] = undefined;
    this.#bytes -= sizeOf(commit);
    this.#start++;
    if (this.#start > 1_024 && this.#start * 2 > this.#commits.length) {
      this.#commits = this.#commits.slice(this.#start);
      this.#start = 0;
    }
  }
}

const COMMIT_BYTES = 300;
const ROW_BYTES = 100;
const VALUE_BYTES = 32;

/** About what a commit takes. Each value counts as a string of its own, of one byte a character. */
function sizeOf(commit: Commit): number {
  let size = COMMIT_BYTES;
  for (const change of commit.changes) {
    size += ROW_BYTES;
    if ('new' in change) size += sizeOfRow(change.new);
    if ('old' in change && change.old) size += sizeOfRow(change.old);
  }
  return size;
}

function sizeOfRow(row: Values): number {
  let size = 0;
  for (const value of row) if (value != null) size += VALUE_BYTES + value.length;
  return size;
}
