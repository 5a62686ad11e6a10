/** For tests: records what a feed says, and waits for it, always with a deadline. */
import assert from 'node:assert/strict';
import { setTimeout as delay } from 'node:timers/promises';
import type pg from 'pg';
import type { Change } from '../readset/change.ts';
import { createFeed } from './create-feed.ts';
import type { Commit } from './events.ts';
import type { Feed } from './feed.ts';
import type { FeedOptions } from './options.ts';
import { FLUSHED_POSITION_SQL, parsePosition } from './position.ts';

/** A bound, not a measure: two cores may be shared by twenty. */
const DEADLINE_MS = 60_000;

export interface Recorder extends AsyncDisposable {
  readonly feed: Feed;
  readonly commits: Commit[];
  /** Events in order of arrival, as texts. */
  readonly log: string[];
  readonly problems: (Error & { code?: string })[];
  /** Runs the work, waits until the feed has passed it, and returns the commits that came. */
  during(pool: pg.Pool, work: (pool: pg.Pool) => Promise<unknown>): Promise<Commit[]>;
}

/** Creates a feed that is not started yet, of the source `wal` unless another is named, and records it. */
export function record(options: FeedOptions): Recorder {
  const feed = createFeed({ source: 'wal', ...options });
  const commits: Commit[] = [];
  const log: string[] = [];
  const problems: Error[] = [];
  feed.on('commit', (commit) => {
    commits.push(commit);
    log.push(`commit ${commit.sequence}`);
  });
  feed.on('epoch', (epoch, reason) => log.push(`epoch ${epoch} ${reason}`));
  feed.on('schema', () => log.push('schema'));
  feed.on('problem', (problem) => problems.push(problem));
  return {
    feed,
    commits,
    log,
    problems,
    async during(pool, work) {
      const before = commits.length;
      await work(pool);
      await untilPassed(feed, pool);
      return commits.slice(before);
    },
    [Symbol.asyncDispose]: () => feed.close(),
  };
}

export async function untilPassed(feed: Feed, pool: pg.Pool): Promise<void> {
  const { rows } = await pool.query<{ position: string }>(`select ${FLUSHED_POSITION_SQL} as position`);
  assert.equal(
    await feed.waitFor(parsePosition(rows[0]?.position ?? ''), DEADLINE_MS),
    true,
    'the feed passes the position',
  );
}

/** Polls until the condition holds. */
export async function until(condition: () => boolean | Promise<boolean>, what: string): Promise<void> {
  const deadline = performance.now() + DEADLINE_MS;
  while (!(await condition())) {
    assert.ok(performance.now() < deadline, `in time: ${what}`);
    await delay(5);
  }
}

/** The changes of commits as short texts: `insert public.t 1,a`. */
export function describeChanges(commits: readonly Commit[]): string[] {
  return commits.flatMap((commit) => commit.changes.map(describeChange));
}

function describeChange(change: Change): string {
  const name = `${change.relation.schema}.${change.relation.name}`;
  const row = (values: readonly (string | null | undefined)[] | undefined): string =>
    values === undefined
      ? '?'
      : values.map((value) => (value === undefined ? '?' : value === null ? 'null' : value)).join(',');
  switch (change.kind) {
    case 'insert':
      return `insert ${name} ${row(change.new)}`;
    case 'update':
      return `update ${name} ${row(change.old)} > ${row(change.new)}`;
    case 'delete':
      return `delete ${name} ${row(change.old)}`;
    case 'all':
      return `all ${name}`;
  }
}
