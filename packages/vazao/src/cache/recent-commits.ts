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
 */
import { type Commit, type Snapshot, sees } from '../feed/index.ts';
import type { Values } from '../readset/index.ts';
import { RECENT_BYTES_MAX } from './options.ts';

export class RecentCommits {
  /** In order of `sequence`; the live part starts at `#start`. */
  #commits: (Commit | undefined)[] = [];
  #start = 0;
  #bytes = 0;
  #seenUpTo = 0;
  #forgottenUpTo = 0;
  /** Transactions whose commits were forced out before a snapshot was known to see them. */
  #forgottenUnseen: bigint[] = [];
  readonly #commitsMax: number;
  readonly #bytesMax: number;

  constructor(commitsMax: number, bytesMax: number = RECENT_BYTES_MAX) {
    this.#commitsMax = commitsMax;
    this.#bytesMax = bytesMax;
  }

  get size(): number {
    return this.#commits.length - this.#start;
  }

  /** Each snapshot that is taken from now on sees all commits up to this sequence. */
  get seenUpTo(): number {
    return this.#seenUpTo;
  }

  add(commit: Commit): void {
    this.#commits.push(commit);
    this.#bytes += sizeOf(commit);
    while (this.size > this.#commitsMax || (this.#bytes > this.#bytesMax && this.size > 0)) this.#forgetOldest();
  }

  /** Learns from a snapshot what all later snapshots see. */
  observe(snapshot: Snapshot): void {
    this.#forgottenUnseen = this.#forgottenUnseen.filter((xid) => !sees(snapshot, xid));
    if (this.#forgottenUnseen.length > 0) return;
    for (let i = this.#start; i < this.#commits.length; i++) {
      const commit = this.#commits[i] as Commit;
      if (commit.sequence <= this.#seenUpTo) continue;
      if (!sees(snapshot, commit.xid)) return;
      this.#seenUpTo = commit.sequence;
    }
  }

  /** Forgets what lies behind all running fills. @param neededAfter - the smallest `seenUpTo` that a running fill began with */
  prune(neededAfter: number): void {
    const upTo = Math.min(neededAfter, this.#seenUpTo);
    while (this.size > 0 && (this.#commits[this.#start] as Commit).sequence <= upTo) this.#forgetOldest();
  }

  /** True when every commit that a fill with this `seenUpTo` at its beginning might not see is still here. */
  covers(neededAfter: number): boolean {
    return this.#forgottenUpTo <= neededAfter;
  }

  /** The remembered commits that the snapshot did not see, oldest first. */
  *unseenBy(snapshot: Snapshot): Generator<Commit> {
    for (let i = this.#start; i < this.#commits.length; i++) {
      const commit = this.#commits[i] as Commit;
      if (!sees(snapshot, commit.xid)) yield commit;
    }
  }

  #forgetOldest(): void {
    const commit = this.#commits[this.#start] as Commit;
    this.#forgottenUpTo = commit.sequence;
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
