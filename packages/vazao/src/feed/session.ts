/**
 * Everything that has to be in place before a stream can flow, in this order:
 *
 *   checks → event triggers → publication → slot → snapshot
 *
 * The publication comes before the slot: the plugin reads the catalog as it was at the position that it decodes, and fails
 * on a publication that did not exist then. The snapshot comes after: see {@link Suspects}.
 */
import { randomBytes } from 'node:crypto';
import type pg from 'pg';
import { createClient, destroyClient, endClient } from './connection.ts';
import { ensureDdlTriggers } from './ddl-trigger.ts';
import { FeedError, toFeedError } from './errors.ts';
import type { SchemaWatch } from './event-triggers.ts';
import type { ResolvedFeedOptions } from './options.ts';
import { checkPreconditions } from './preconditions.ts';
import { type PublicationState, syncPublication } from './publication.ts';
import { readSnapshot } from './read-snapshot.ts';
import { ReplicationConnection } from './replication-connection.ts';
import type { Snapshot } from './snapshot.ts';
import { FIND_SCHEMA_FINGERPRINT_SQL, type SchemaFingerprint } from './sql/find-schema-fingerprint.ts';

export interface Session {
  readonly connection: ReplicationConnection;
  readonly slot: string;
  /** Every transaction that commits after this position will be in the stream. */
  readonly consistentPoint: bigint;
  /** Taken after the slot became consistent. */
  readonly snapshot: Snapshot;
  readonly serverVersion: number;
  readonly systemId: string;
  readonly timeline: number;
  readonly publication: PublicationState;
  readonly schemaWatch: SchemaWatch;
  /** Taken before the publication was brought in step; `undefined` when event triggers watch the schema. */
  readonly fingerprint: SchemaFingerprint | undefined;
}

/** Opens a session; close it with `connection.close()`. Leaves nothing behind when it fails. Throws {@link FeedError}. */
export async function openSession(options: ResolvedFeedOptions, feedId: string, signal: AbortSignal): Promise<Session> {
  const control = createClient(options, { applicationName: 'vazao feed (set-up)', settings: {} });
  let connection: ReplicationConnection | undefined;
  let creatingSlot = false;
  // While the slot is being created the control connection is needed to call that off.
  const abort = (): void => {
    if (!creatingSlot) destroyClient(control);
  };
  signal.addEventListener('abort', abort);
  try {
    signal.throwIfAborted();
    await control.connect();
    const { version: serverVersion } = await checkPreconditions(control);
    const schemaWatch = await ensureDdlTriggers(control, feedId);
    const fingerprint = schemaWatch === 'fingerprint' ? await readFingerprint(control) : undefined;
    const { publication: name, selection } = options;
    const publication = await syncPublication(control, { publication: name, selection, feedId, serverVersion });
    connection = await ReplicationConnection.open(options);
    const identity = await connection.identify();
    const slot = `vazao_${process.pid}_${randomBytes(6).toString('hex')}`;
    signal.throwIfAborted();
    creatingSlot = true;
    const consistentPoint = await createSlot(connection, slot, control, options.slotTimeoutMs, signal);
    creatingSlot = false;
    const snapshot = await readSnapshot(control);
    signal.throwIfAborted();
    return {
      connection,
      slot,
      consistentPoint,
      snapshot,
      serverVersion,
      ...identity,
      publication,
      schemaWatch,
      fingerprint,
    };
  } catch (error) {
    await connection?.close();
    throw signal.aborted
      ? new FeedError('ERR_FEED_CLOSED', 'The feed was closed.', { cause: error })
      : toFeedError(error);
  } finally {
    signal.removeEventListener('abort', abort);
    await endClient(control);
  }
}

/**
 * PostgreSQL waits here for all transactions that are writing, and while it waits it does not notice that the client has
 * gone away. So giving up means ending that backend by name.
 */
async function createSlot(
  connection: ReplicationConnection,
  slot: string,
  control: pg.Client,
  timeoutMs: number,
  signal: AbortSignal,
): Promise<bigint> {
  const stopped = Promise.withResolvers<'timeout' | 'aborted'>();
  const onAbort = (): void => stopped.resolve('aborted');
  const timer = setTimeout(() => stopped.resolve('timeout'), timeoutMs);
  signal.addEventListener('abort', onAbort);
  try {
    const created = connection.createSlot(slot);
    const result = await Promise.race([created, stopped.promise]);
    if (typeof result === 'bigint') return result;
    const blocker = result === 'timeout' ? await describeOldestWriter(control) : '';
    await control.query('select pg_catalog.pg_terminate_backend($1)', [connection.processId]);
    // It fails now, with the message of an ended backend; the reason is known.
    await created.catch(() => {});
    throw new FeedError(
      'ERR_FEED_SLOT_TIMEOUT',
      `No replication slot within ${timeoutMs} ms: PostgreSQL waits for transactions that were open when it began. ${blocker}`,
    );
  } finally {
    clearTimeout(timer);
    signal.removeEventListener('abort', onAbort);
  }
}

async function describeOldestWriter(control: pg.Client): Promise<string> {
  const { rows } = await control.query<{ pid: number; database: string; age: string }>(`
    select pid, datname as database, date_trunc('second', now() - xact_start)::text as age
    from pg_catalog.pg_stat_activity where backend_xid is not null order by xact_start limit 1`);
  const writer = rows[0];
  if (!writer) return 'Look for prepared ones: `select * from pg_prepared_xacts`.';
  return `The oldest is that of process ${writer.pid} in database ${writer.database}, ${writer.age} old: \`select pg_terminate_backend(${writer.pid})\` ends it.`;
}

async function readFingerprint(client: pg.ClientBase): Promise<SchemaFingerprint | undefined> {
  const { rows } = await client.query<SchemaFingerprint>(FIND_SCHEMA_FINGERPRINT_SQL);
  return rows[0];
}
