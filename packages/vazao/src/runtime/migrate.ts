/**
 * Brings the schema up to date with node-pg-migrate: `*.sql` files in the order of their names, each in a transaction
 * of its own, recorded in `vazao.migrations`. One lock covers the whole run, so that of many servers that start at once
 * one migrates and the others wait for it.
 */
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type pg from 'pg';
import { loadPeer, PeerError } from '../peer/index.ts';
import { describeError, errorCode, RuntimeError } from './errors.ts';

const LOCK = 0x76617a616d; // "vazam"
const SCHEMA = 'vazao';
/** node-pg-migrate ignores what matches; only SQL files are ours. */
const NOT_SQL = '(?:\\..*|.*(?<!\\.sql))';

export interface MigrateOptions {
  /** Connected, for this run alone. */
  readonly client: pg.Client;
  readonly folder: URL;
  readonly onProgress: (label: string, fraction?: number) => void;
  readonly signal: AbortSignal;
}

/** Applies what is pending; returns its names. Throws {@link RuntimeError}. */
export async function migrate({ client, folder, onProgress, signal }: MigrateOptions): Promise<readonly string[]> {
  const path = fileURLToPath(folder);
  if (!existsSync(path)) {
    throw new RuntimeError('ERR_RUNTIME_MIGRATION', `The folder of the migrations, ${path}, does not exist.`);
  }
  await client.query('select pg_advisory_lock($1)', [LOCK]);
  try {
    await ensureSchema(client);
    const pending = await listPending(client, path);
    for (const [index, name] of pending.entries()) {
      signal.throwIfAborted();
      onProgress(`migrating: ${name}`, index / pending.length);
      await apply(client, path, name);
    }
    return pending;
  } finally {
    await client.query('select pg_advisory_unlock($1)', [LOCK]).catch(() => {}); // the lock goes with the connection
  }
}

/** Asked first: `create schema if not exists` wants the privilege even where the schema exists. */
async function ensureSchema(client: pg.Client): Promise<void> {
  const { rowCount } = await client.query('select 1 from pg_namespace where nspname = $1', [SCHEMA]);
  if (rowCount !== 0) return;
  try {
    await client.query(`create schema ${SCHEMA}`);
  } catch (cause) {
    const { rows } = await client.query('select current_database() as database, current_user as role');
    throw new RuntimeError(
      'ERR_RUNTIME_MIGRATION',
      `The role ${rows[0].role} may not create the schema ${SCHEMA} (${describeError(cause)}). As the owner of the database: \`grant create on database "${rows[0].database}" to "${rows[0].role}"\`.`,
      { cause },
    );
  }
}

async function listPending(client: pg.Client, path: string): Promise<readonly string[]> {
  try {
    return (await run(client, path, { dryRun: true })).map(({ name }) => name);
  } catch (cause) {
    if (cause instanceof PeerError) throw cause;
    const outOfOrder = /Not run migration (\S+) is preceding already run migration (\S+)/.exec(describeError(cause));
    const sentence = outOfOrder
      ? `The migration ${outOfOrder[1]} has not run, but ${outOfOrder[2]}, which comes after it by name, has. Give the new one a later name; nothing was changed.`
      : `The migrations in ${path} can't be read: ${describeError(cause)}. Nothing was changed.`;
    throw new RuntimeError('ERR_RUNTIME_MIGRATION', sentence, { cause });
  }
}

async function apply(client: pg.Client, path: string, name: string): Promise<void> {
  try {
    await run(client, path, { file: name });
  } catch (cause) {
    await client.query('rollback').catch(() => {}); // no connection, no transaction
    const file = `${name}.sql`;
    const text = await readFile(join(path, file), 'utf8').catch(() => '');
    const line = lineOf(text, cause);
    throw new RuntimeError(
      'ERR_RUNTIME_MIGRATION',
      `The migration ${basename(path)}/${file}${line === undefined ? '' : `, line ${line}`} failed: ${describeDatabaseError(cause)}. All of it was rolled back; correct the file and start again.`,
      { cause },
    );
  }
}

/** With `dryRun` it only tells what is pending. Imported late: a start that only shows an error needs none of it. */
async function run(
  client: pg.Client,
  path: string,
  options: { readonly dryRun?: boolean; readonly file?: string },
): Promise<readonly { name: string }[]> {
  const { runner } = await loadPeer<typeof import('node-pg-migrate')>('node-pg-migrate', 'Applying migrations');
  const silent = { debug() {}, info() {}, warn() {}, error() {} };
  return runner({
    dbClient: client,
    dir: path,
    ignorePattern: NOT_SQL,
    direction: 'up',
    migrationsSchema: SCHEMA,
    migrationsTable: 'migrations',
    noLock: true,
    logger: silent,
    ...options,
  });
}

/** Where node-pg-migrate begins to read when a file has a marker; positions are counted from there. */
const UP_MARKER = /^\s*--[\s-]*up\s+migration/im;

/** The line that PostgreSQL's error points at: by its position, else by the word it names. */
function lineOf(text: string, error: unknown): number | undefined {
  const position = Number((error as { position?: string }).position);
  const begin = Math.max(0, text.search(UP_MARKER));
  if (position > 0) return text.slice(0, begin + position - 1).split('\n').length;
  const { constraint, table } = error as { constraint?: string; table?: string };
  const named = [constraint, table, /"([^"]+)"/.exec(describeError(error))?.[1]].find(
    (word) => word !== undefined && text.includes(word),
  );
  return named === undefined ? undefined : text.slice(0, text.indexOf(named)).split('\n').length;
}

function describeDatabaseError(error: unknown): string {
  const detail = (error as { detail?: string }).detail;
  const code = errorCode(error);
  return `${describeError(error)}${detail ? ` (${detail.replace(/\.$/, '')})` : ''}${code ? ` [${code}]` : ''}`;
}
