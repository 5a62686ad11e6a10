import { setTimeout as delay } from 'node:timers/promises';
import pg from 'pg';
import type { ResolvedFeedOptions } from './options.ts';

/** What `pg` has and its types do not tell. */
export interface ClientInternals {
  readonly processID: number | null;
  readonly connectionParameters: {
    options?: string | undefined;
    replication?: string | undefined;
    statement_timeout?: unknown;
    lock_timeout?: unknown;
    idle_in_transaction_session_timeout?: unknown;
    query_timeout?: unknown;
    application_name?: string | undefined;
    database?: string | undefined;
    user?: string | undefined;
  };
  readonly connection: {
    readonly stream: { destroy(): void };
    on(event: 'replicationStart', listener: () => void): void;
    on(event: 'copyData', listener: (message: { readonly chunk: Buffer }) => void): void;
    sendCopyFromChunk(chunk: Buffer): void;
    endCopyFrom(): void;
  };
}

export function internalsOf(client: pg.Client): ClientInternals {
  return client as unknown as ClientInternals;
}

export interface ConnectionPurpose {
  readonly applicationName: string;
  readonly replication?: boolean | undefined;
  /** Settings of the session, as given with `-c`. They win over those of the role and the database. */
  readonly settings: Readonly<Record<string, string>>;
}

/**
 * Creates a client that is not connected yet. Time-outs that the application's configuration carries are taken off: they
 * are meant for its statements, and `query_timeout` would end the stream, which is one query that never returns.
 */
export function createClient(
  options: Pick<ResolvedFeedOptions, 'connection' | 'connectTimeoutMs'>,
  purpose: ConnectionPurpose,
): pg.Client {
  const config: pg.ClientConfig =
    typeof options.connection === 'string' ? { connectionString: options.connection } : options.connection;
  const client = new pg.Client({
    ...config,
    pipeline: false,
    keepAlive: true,
    connectionTimeoutMillis: options.connectTimeoutMs,
  });
  const parameters = internalsOf(client).connectionParameters;
  const settings = Object.entries({ ...SETTINGS, ...purpose.settings }).map(([name, value]) => `-c ${name}=${value}`);
  parameters.options = [parameters.options, ...settings].filter(Boolean).join(' ');
  parameters.application_name = purpose.applicationName;
  if (purpose.replication) parameters.replication = 'database';
  parameters.statement_timeout = 0;
  parameters.lock_timeout = 0;
  parameters.idle_in_transaction_session_timeout = 0;
  parameters.query_timeout = 0;
  // A lost connection fails the query that runs, or the next one; the event itself would end the process.
  client.on('error', () => {});
  return client;
}

/**
 * `synchronous_commit = local`: what the feed writes (heartbeats before PostgreSQL 17, the publication) must be flushed
 * here, and must not wait for a slow standby.
 */
const SETTINGS = { statement_timeout: '0', lock_timeout: '0', idle_session_timeout: '0', synchronous_commit: 'local' };

/** A client is ended politely for so long, then its socket is destroyed. */
const END_TIMEOUT_MS = 1_000;

/** Ends a client in whatever state it is. Does not throw and does not hang. */
export async function endClient(client: pg.Client): Promise<void> {
  const timer = new AbortController();
  // An error here means that the connection is gone, which is what was wanted.
  const ended = client.end().catch(() => {});
  await Promise.race([ended, delay(END_TIMEOUT_MS, undefined, { signal: timer.signal }).catch(() => {})]);
  timer.abort();
  destroyClient(client);
}

export function destroyClient(client: pg.Client): void {
  internalsOf(client).connection.stream.destroy();
}
