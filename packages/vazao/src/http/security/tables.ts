/** The platform's own tables for what users hold. They lie in the schema `vazao`, which no publication of ours names. */
import type pg from 'pg';

/** The part of a pool that is used. */
export type Statements = Pick<pg.Pool, 'query'>;

const LOCK = 0x76617a7365; // "vazse"

/**
 * Creates the tables where they are missing. `vazao dev` and `vazao start` do so before anything is served; elsewhere call it
 * before the pool is prepared, because a change of the schema keeps answers from being stored until the catalog is read again.
 */
export async function createSecurityTables(db: Statements): Promise<void> {
  const { rows } = await db.query<{ exist: boolean }>("select to_regclass('vazao.sessions') is not null as exist");
  if (rows[0]?.exist) return;
  // Several hosts may start at once, and `create … if not exists` alone would let them collide.
  await db.query(`do $$ begin perform pg_advisory_xact_lock(${LOCK}); ${CREATE} end $$`);
}

/** Refresh tokens are logged: a crash of the database would else forget which were used. */
const CREATE = `
  create schema if not exists vazao;
  create table if not exists vazao.refresh_tokens (
    token_hash bytea primary key,
    family uuid not null,
    subject text not null,
    created_at timestamptz not null default now(),
    used_at timestamptz,
    -- Of this token, and of its family.
    expires_at timestamptz not null,
    ends_at timestamptz not null
  );
  create index if not exists refresh_tokens_family on vazao.refresh_tokens (family);
  create index if not exists refresh_tokens_subject on vazao.refresh_tokens (subject);
  create index if not exists refresh_tokens_ends_at on vazao.refresh_tokens (ends_at);
  -- Sessions are written for idle times, too; losing them in a crash costs a log-in.
  create unlogged table if not exists vazao.sessions (
    id_hash bytea primary key,
    user_id text,
    -- JSON; the type json would refuse some of its texts.
    claims text,
    data text not null,
    created_at timestamptz not null default now(),
    seen_at timestamptz not null default now()
  );
  create index if not exists sessions_user on vazao.sessions (user_id) where user_id is not null;
  create index if not exists sessions_seen_at on vazao.sessions (seen_at);`;

const CLEAN_MS = 60_000;

/**
 * Runs `clean` (which removes one bounded batch and tells how many) about once a minute, and on while batches are full.
 * Every process does so; each takes what the others have not locked.
 */
export function startCleaning(
  clean: () => Promise<number>,
  batchMax: number,
  onProblem: (error: Error) => void,
): () => void {
  let isStopped = false;
  let timer: NodeJS.Timeout | undefined;
  const schedule = (): void => {
    if (isStopped) return;
    // Processes that started together spread out.
    timer = setTimeout(run, CLEAN_MS * (0.75 + Math.random() / 2));
    timer.unref();
  };
  const run = async (): Promise<void> => {
    try {
      while (!isStopped && (await clean()) >= batchMax);
    } catch (error) {
      onProblem(error as Error); // the database is away: the next round comes
    }
    schedule();
  };
  schedule();
  return () => {
    isStopped = true;
    clearTimeout(timer);
  };
}
