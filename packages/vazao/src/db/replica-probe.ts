/** Asks a server whether it is a replica of the feed's server that can be read from. */
import { setTimeout as delay } from 'node:timers/promises';
import pg from 'pg';
import { parseLsn, positionAt } from '../feed/index.ts';
import { QUICK_SETTINGS_SQL, SERVER_SETTINGS_SQL } from './session-settings.ts';

export interface ReplicaFacts {
  readonly systemId: string;
  /** That it replays, not that it receives. */
  readonly timeline: number;
  /** It has not been promoted. */
  readonly inRecovery: boolean;
  readonly quickSettings: string;
  readonly serverSettings: string;
  /** How long it took to replay what was asked for; undefined when it didn't within the bound. */
  readonly lagMs: number | undefined;
}

const FACTS_SQL = `select pg_is_in_recovery() as standby, ${QUICK_SETTINGS_SQL} as quick, ${SERVER_SETTINGS_SQL} as server`;
/** `pg_last_wal_replay_lsn()` is null on a server that never was a standby. */
const REPLAYED_SQL = "select coalesce(pg_last_wal_replay_lsn(), '0/0')::text as position";
const REPLAY_POLL_MS = 20;

export interface ProbeOptions {
  /** As the pool's own connections. */
  readonly connection: pg.ClientConfig;
  /** What it should have replayed. */
  readonly position: bigint;
  /** For all of it, but the wait for the replay. */
  readonly timeoutMs: number;
  readonly lagMaxMs: number;
}

/**
 * Over a connection of its own, opened and closed: `IDENTIFY_SYSTEM` is the one way to learn the timeline that a standby
 * replays, and exists on replication connections only, of which a server has few. Throws what pg throws.
 */
export async function probeReplica({ connection, position, timeoutMs, lagMaxMs }: ProbeOptions): Promise<ReplicaFacts> {
  const client = new pg.Client({
    ...connection,
    application_name: 'vazao replica probe',
    connectionTimeoutMillis: timeoutMs,
    query_timeout: timeoutMs,
    replication: 'database',
  } as pg.ClientConfig);
  client.on('error', () => {}); // the statement tells
  try {
    await client.connect();
    const system = (await client.query('IDENTIFY_SYSTEM')).rows[0];
    const facts = (await client.query(FACTS_SQL)).rows[0];
    return {
      systemId: system.systemid,
      timeline: Number(system.timeline),
      inRecovery: facts.standby,
      quickSettings: facts.quick,
      serverSettings: facts.server,
      lagMs: await untilReplayed(client, Number(system.timeline), position, lagMaxMs),
    };
  } finally {
    // Not waited for: from a server that hangs no word would come.
    client.end().catch(() => {});
    setTimeout(() => internals(client).connection.stream.destroy(), timeoutMs).unref();
  }
}

async function untilReplayed(
  client: pg.Client,
  timeline: number,
  position: bigint,
  lagMaxMs: number,
): Promise<number | undefined> {
  const startedAt = performance.now();
  for (let asked = 0; ; asked++) {
    const { rows } = await client.query(REPLAYED_SQL);
    const elapsed = performance.now() - startedAt;
    if (positionAt(timeline, parseLsn(rows[0].position)) >= position) return asked === 0 ? 0 : Math.round(elapsed);
    if (elapsed > lagMaxMs) return undefined;
    await delay(REPLAY_POLL_MS, undefined, { ref: false });
  }
}

function internals(client: pg.Client): { readonly connection: { readonly stream: { destroy(): void } } } {
  return client as never;
}
