/**
 * What a host has once, however many processes serve on it.
 *
 *   secret → database → migrations → seed → feed
 *
 * Each step registers its release with the stack; the caller disposes of it at the end, and also when a later step fails.
 */
import type { RelayFigures } from '../cache/redis/index.ts';
import { createFeed, FanOut, type Feed, FeedError, setReplicaIdentityFull } from '../feed/index.ts';
import { createSecurityTables } from '../http/security/index.ts';
import type { Application } from './application.ts';
import type { Configuration } from './configuration.ts';
import { connectDatabase, type Database, openDatabase } from './database.ts';
import { toDatabaseError } from './database-errors.ts';
import { RuntimeError } from './errors.ts';
import { migrate } from './migrate.ts';
import { assertApplicationAgrees, assertNoDefaults } from './refusals.ts';
import { RELEASE_TIMEOUT_MS, within } from './release.ts';
import { openRelay, openStreamedFeed } from './second-tier.ts';
import { resolveSecret } from './secret.ts';
import { seedOnce } from './seed.ts';
import { listPlainTables } from './tables.ts';

export interface StartOptions {
  readonly application: Application;
  readonly configuration: Configuration;
  /** Told of each step, and of how far a long one is (0 to 1). */
  readonly onProgress?: ((label: string, fraction?: number) => void) | undefined;
  /** Something without which the server can't go on failed after the start. The caller closes and ends the process. */
  readonly onCrash?: ((error: Error) => void) | undefined;
  /** Ends a start that is under way: it rejects with the reason when everything is released. */
  readonly signal?: AbortSignal | undefined;
}

export type ResolvedStartOptions = { readonly [Name in keyof StartOptions]-?: Exclude<StartOptions[Name], undefined> };

export interface Host {
  readonly secret: string;
  readonly database: Database;
  readonly feed: Feed;
  /** Tells what the feed tells to other processes. */
  readonly fanOut: FanOut;
  /** What the relay of this host can tell of itself; undefined where there is none. */
  readonly findRelay: () => RelayFigures | undefined;
  /** Applies migrations that have come meanwhile. Throws {@link RuntimeError}. */
  readonly migrate: () => Promise<void>;
}

export function resolveStartOptions(options: StartOptions): ResolvedStartOptions {
  return {
    ...options,
    onProgress: options.onProgress ?? (() => {}),
    onCrash: options.onCrash ?? (() => {}),
    signal: options.signal ?? new AbortController().signal,
  };
}

/** Throws {@link RuntimeError}, or the reason of the signal. */
export async function openHost(options: ResolvedStartOptions, acquired: AsyncDisposableStack): Promise<Host> {
  const { application, configuration, onProgress, onCrash, signal } = options;
  assertNoDefaults(application, configuration);
  const secret = await resolveSecret(configuration);
  const database = acquired.use(
    await openDatabase({ configuration, name: application.name, onProgress, onCrash, signal }),
  );
  await prepareSchema(database, options);
  signal.throwIfAborted();
  onProgress('following the changes of the database');
  const { feed, fanOut } = await startFeed(database, secret, options, acquired);
  const relay = await openRelay({ configuration, feed, fanOut, secret, databaseUrl: database.url }, acquired);
  const findRelay = (): RelayFigures | undefined => relay?.figures();
  return { secret, database, feed, fanOut, findRelay, migrate: () => prepareSchema(database, options) };
}

/** Migrates, and in development fills, the database over one connection of its own. */
async function prepareSchema(
  database: Database,
  { application, configuration, onProgress, signal }: ResolvedStartOptions,
): Promise<void> {
  const client = await connectDatabase(database.url).catch((error) => {
    throw toDatabaseError(error, database.url);
  });
  try {
    const before = new Set(await listPlainTables(client));
    const applied = await migrate({ client, folder: application.migrations, onProgress, signal });
    // The feed tells old rows apart only where the log carries them whole. Tables that were there before are their owner's.
    if (applied.length > 0) {
      await setReplicaIdentityFull(
        client,
        (await listPlainTables(client)).filter((table) => !before.has(table)),
      );
    }
    await createSecurityTables(client);
    if (configuration.environment === 'development') await seedOnce({ client, application, onProgress, signal });
    await assertApplicationAgrees(application, configuration, client);
  } finally {
    await within(RELEASE_TIMEOUT_MS, client.end());
  }
}

async function startFeed(
  database: Database,
  secret: string,
  { configuration }: ResolvedStartOptions,
  acquired: AsyncDisposableStack,
): Promise<Pick<Host, 'feed' | 'fanOut'>> {
  const { feedSource: source, feedNotify: notify } = configuration;
  const feed =
    source === 'stream'
      ? await openStreamedFeed({ configuration, secret, databaseUrl: database.url }, acquired)
      : createFeed({ connection: database.url, source, outbox: { notify } });
  acquired.defer(() => within(RELEASE_TIMEOUT_MS, feed.close()));
  // Before the feed starts: it must miss nothing.
  const fanOut = acquired.adopt(new FanOut({ source: feed }), (opened) => opened.close());
  try {
    await feed.start();
    return { feed, fanOut };
  } catch (cause) {
    throw toRuntimeError(cause);
  }
}

/** Puts an error of the feed into a sentence of the runtime; what else was thrown passes unchanged. */
export function toRuntimeError(cause: unknown): unknown {
  if (!(cause instanceof FeedError)) return cause;
  return new RuntimeError(
    'ERR_RUNTIME_FEED',
    `The changes of the database can't be followed. ${cause.message.replace(/[.\s]*$/, '')}. \`vazao doctor\` checks the rest.`,
    { cause },
  );
}
