/** Fills an empty database of development, once. One transaction: an interrupted seed leaves nothing. */
import type pg from 'pg';
import type { Application } from './application.ts';
import { describeError, RuntimeError } from './errors.ts';

const LOCK = 0x76617a6173; // "vazas"

export interface SeedOptions {
  readonly client: pg.Client;
  readonly application: Application;
  readonly onProgress: (label: string, fraction?: number) => void;
  readonly signal: AbortSignal;
}

/** Runs the application's seed where it has not run and the tables hold nothing; true when it ran. Throws {@link RuntimeError}. */
export async function seedOnce({ client, application, onProgress, signal }: SeedOptions): Promise<boolean> {
  const { seed, name } = application;
  if (!seed) return false;
  // Ending the connection is what ends a long statement; the transaction goes with it.
  const interrupt = (): void => void client.end().catch(() => {});
  signal.addEventListener('abort', interrupt);
  try {
    await client.query(
      'create table if not exists vazao.seeds (name text primary key, seeded_at timestamptz not null default now())',
    );
    await client.query('begin');
    await client.query('select pg_advisory_xact_lock($1)', [LOCK]);
    const { rowCount } = await client.query('select from vazao.seeds where name = $1', [name]);
    const due = rowCount === 0 && !(await holdsRows(client));
    if (due) await seed(client, (fraction, label) => onProgress(`seeding: ${label}`, fraction));
    await client.query('insert into vazao.seeds (name) values ($1) on conflict do nothing', [name]);
    await client.query('commit');
    if (due) await client.query('analyze'); // the planner knows nothing yet of rows that came all at once
    return due;
  } catch (cause) {
    await client.query('rollback').catch(() => {}); // no connection, no transaction
    signal.throwIfAborted();
    throw new RuntimeError(
      'ERR_RUNTIME_SEED',
      `The seed of ${name} failed, and nothing of it was kept: ${describeError(cause).replace(/\.$/, '')}. Correct it and start again.`,
      { cause },
    );
  } finally {
    signal.removeEventListener('abort', interrupt);
  }
}

/** True when any table of the application holds a row: somebody's data are not to be mixed with invented ones. */
async function holdsRows(client: pg.Client): Promise<boolean> {
  const { rows } = await client.query<{ table: string }>(`
    select format('%I.%I', n.nspname, c.relname) as table
    from pg_class c join pg_namespace n on n.oid = c.relnamespace
    where c.relkind = 'r' and n.nspname not in ('pg_catalog', 'information_schema', 'vazao') and n.nspname !~ '^pg_'`);
  for (const { table } of rows) {
    const { rowCount } = await client.query(`select from ${table} limit 1`);
    if (rowCount !== 0) return true;
  }
  return false;
}
