/**
 * Everything that has to be in place before the outbox is polled, in this order:
 *
 *   checks → outbox → lease → event triggers → triggers → definitions → first poll
 *
 * The definitions are read before the first snapshot: a row that comes after it has the shape that they tell, or the poll
 * that brings it finds another.
 */
import type pg from 'pg';
import { createClient, destroyClient, endClient } from '../connection.ts';
import { FeedError, toFeedError } from '../errors.ts';
import type { SchemaWatch } from '../event-triggers.ts';
import type { ResolvedFeedOptions } from '../options.ts';
import { checkServer } from '../preconditions.ts';
import type { PublicationState } from '../publication.ts';
import { ensureSchemaTriggers, installOutbox, renewLease } from './install.ts';
import type { TableDefinition } from './poller.ts';
import { NOTIFY_CHANNEL } from './sql/create-objects.ts';
import { DEFINITIONS_SQL } from './sql/poll.ts';
import { syncTriggers, type TriggerTarget } from './triggers.ts';
import { readFingerprint } from './upkeep.ts';

export interface OutboxSession {
  /** For the polls, and for what calls for one. */
  readonly client: pg.Client;
  readonly serverVersion: number;
  readonly systemId: string | undefined;
  readonly timeline: number;
  readonly publication: PublicationState;
  readonly definitions: readonly TableDefinition[];
  readonly schemaWatch: SchemaWatch;
  /** Taken before the triggers were brought in step; `undefined` when event triggers watch the schema. */
  readonly fingerprint: string | undefined;
}

/** Opens a session; end it by ending its client. Leaves no connection behind when it fails. Throws {@link FeedError}. */
export async function openOutbox(
  options: ResolvedFeedOptions,
  feedId: string,
  signal: AbortSignal,
): Promise<OutboxSession> {
  const client = createClient(options, {
    applicationName: 'vazao feed (outbox)',
    // The table is small in the morning and large at noon, and the plan of the poll is kept. Up to PostgreSQL 17 that makes
    // the plan so dear on paper that it would be compiled, for a second, at each poll.
    settings: { enable_seqscan: 'off', jit: 'off' },
  });
  const abort = (): void => destroyClient(client);
  signal.addEventListener('abort', abort);
  try {
    signal.throwIfAborted();
    await client.connect();
    const { version: serverVersion } = await checkServer(client);
    const { notify } = options.outbox;
    await installOutbox(client, feedId, notify);
    await renewLease(client);
    const schemaWatch = await ensureSchemaTriggers(client, feedId);
    const { publication, fingerprint } = await bringInStep(
      client,
      { selection: options.selection, feedId },
      schemaWatch === 'fingerprint',
    );
    const { rows: definitions } = await client.query<TableDefinition>(DEFINITIONS_SQL);
    const identity = await identify(client);
    if (notify) await client.query(`listen ${NOTIFY_CHANNEL}`);
    signal.throwIfAborted();
    (client as unknown as { pipeline: boolean }).pipeline = true;
    return { client, serverVersion, ...identity, publication, definitions, schemaWatch, fingerprint };
  } catch (error) {
    await endClient(client);
    throw signal.aborted
      ? new FeedError('ERR_FEED_CLOSED', 'The feed was closed.', { cause: error })
      : toFeedError(error);
  } finally {
    signal.removeEventListener('abort', abort);
  }
}

/** As often as others may interfere before it is left to the next look. */
const ROUNDS_MAX = 3;

/**
 * Our own triggers change the fingerprint. It is one that was read before a run that found nothing to do, so that whatever
 * anybody else does shows as a difference.
 */
export async function bringInStep(
  client: pg.ClientBase,
  target: TriggerTarget,
  isWatched: boolean,
): Promise<{ publication: PublicationState; fingerprint: string | undefined }> {
  for (let round = 1; ; round++) {
    const fingerprint = isWatched ? await readFingerprint(client) : undefined;
    const publication = await syncTriggers(client, target);
    if (!isWatched || !publication.altered || round >= ROUNDS_MAX) return { publication, fingerprint };
  }
}

/** The name of a file of the log begins with its timeline, and needs no privilege. */
async function identify(client: pg.Client): Promise<{ systemId: string | undefined; timeline: number }> {
  const { rows } = await client.query<{ timeline: string; systemId: string | null }>(`
    select substr(pg_catalog.pg_walfile_name(pg_catalog.pg_current_wal_lsn()), 1, 8) as timeline,
      case when has_function_privilege('pg_catalog.pg_control_system()', 'execute')
        then (select system_identifier::text from pg_catalog.pg_control_system()) end as "systemId"`);
  const row = rows[0];
  return { timeline: Number.parseInt(row?.timeline ?? '0', 16), systemId: row?.systemId ?? undefined };
}
