/** A session and what goes on beside its polls. */
import { endClient } from '../connection.ts';
import type { FeedError } from '../errors.ts';
import type { ResolvedFeedOptions } from '../options.ts';
import type { PublicationState } from '../publication.ts';
import { type SchemaChange, SchemaSync } from '../schema-sync.ts';
import { emitHeartbeatSql } from '../sql/emit-heartbeat.ts';
import { bringInStep, type OutboxSession, openOutbox } from './session.ts';
import { Upkeep } from './upkeep.ts';

export interface Running {
  readonly session: OutboxSession;
  readonly schemaSync: SchemaSync;
  readonly upkeep: Upkeep;
}

export interface RunningHandler {
  /** A writer calls for a poll. */
  called(): void;
  synced(state: PublicationState, change: SchemaChange): void;
  problem(error: FeedError): void;
}

/** Throws {@link FeedError}. */
export async function startRunning(
  options: ResolvedFeedOptions,
  feedId: string,
  signal: AbortSignal,
  handler: RunningHandler,
): Promise<Running> {
  const session = await openOutbox(options, feedId, signal);
  const problem = (error: FeedError): void => handler.problem(error);
  const upkeep = new Upkeep(options, session.fingerprint, {
    problem,
    schemaChanged: () => schemaSync.request({ xids: [], unordered: true }),
  });
  const schemaSync = new SchemaSync(
    options,
    async (client) => {
      const isWatched = session.schemaWatch === 'fingerprint';
      const found = await bringInStep(client, { selection: options.selection, feedId }, isWatched);
      upkeep.fingerprint = found.fingerprint;
      return found.publication;
    },
    { synced: (state, change) => handler.synced(state, change), problem },
  );
  session.client.on('notification', () => handler.called());
  return { session, schemaSync, upkeep };
}

export async function stopRunning({ session, schemaSync, upkeep }: Running): Promise<void> {
  await Promise.all([upkeep.stop(), schemaSync.stop(), endClient(session.client)]);
}

/**
 * For when somebody waits for the very end of the log while a transaction is open, or for what is not flushed: a record of
 * our own moves the end on, and with it the position.
 */
export async function pushLog({ client, serverVersion }: OutboxSession): Promise<void> {
  await client.query({ name: 'vazao-push', text: emitHeartbeatSql(serverVersion), values: ['vazao.outbox', ''] });
}
