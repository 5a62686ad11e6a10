import type pg from 'pg';
import { judgeReplica, LAG_MAX_MS, probeReplica, type ReplicaRefusal } from '../../db/index.ts';
import { FLUSHED_POSITION_SQL, parsePosition } from '../../feed/index.ts';
import { describeError } from '../errors.ts';
import { advice, type Finding, ok } from './finding.ts';

const TIMEOUT_MS = 5_000;
const CHECK = 'replica';

const FAULTS: Readonly<Partial<Record<ReplicaRefusal, readonly [what: string, remedy: string]>>> = {
  'other-server': [
    'is no copy of this server',
    'Set DATABASE_REPLICA_URLS to servers made from this one with pg_basebackup.',
  ],
  promoted: [
    'has been promoted, or never was a standby',
    'Take it out of DATABASE_REPLICA_URLS, or make it a standby again: pg_rewind --write-recovery-conf …',
  ],
  timeline: [
    'follows another timeline than this server',
    "On the replica: ALTER SYSTEM SET recovery_target_timeline = 'latest'; Then restart it.",
  ],
  settings: [
    'has other settings, or another database or user',
    'Compare TimeZone, DateStyle, IntervalStyle, bytea_output, extra_float_digits and lc_* in both postgresql.conf.',
  ],
  behind: [
    `did not replay within ${LAG_MAX_MS} ms what is committed here`,
    'On the replica: SELECT * FROM pg_stat_wal_receiver; SELECT pg_get_wal_replay_pause_state();',
  ],
};

/** Whether each of DATABASE_REPLICA_URLS can be read from. The server runs without them, so nothing of it is a failure. */
export async function checkReplicas(
  client: pg.Client,
  {
    url,
    databaseReplicaUrls = [],
  }: { readonly url: string; readonly databaseReplicaUrls?: readonly string[] | undefined },
): Promise<readonly Finding[]> {
  if (databaseReplicaUrls.length === 0) return [];
  const { rows } = await client.query(`select ${FLUSHED_POSITION_SQL} as position`);
  const limits = { timeoutMs: TIMEOUT_MS, lagMaxMs: LAG_MAX_MS };
  const primary = await probeReplica({ connection: { connectionString: url }, position: 0n, ...limits });
  const position = parsePosition(rows[0].position);
  const standard = { ...primary, source: 'wal', needed: position } as const;
  return Promise.all(
    databaseReplicaUrls.map(async (connectionString) => {
      const { hostname, port } = new URL(connectionString);
      const name = `${hostname}:${port || 5432}`;
      try {
        const facts = await probeReplica({ connection: { connectionString }, position, ...limits });
        const fault = judgeReplica(facts, standard);
        const [what, remedy] = (fault && FAULTS[fault]) ?? [];
        return what && remedy
          ? advice(CHECK, `${name} ${what}, so it is not read from.`, remedy)
          : ok(CHECK, `${name} can be read from; it was ${facts.lagMs} ms behind`);
      } catch (error) {
        const remedy = 'Check its address, its pg_hba.conf and its max_wal_senders; the role must be let in there too.';
        return advice(CHECK, `${name} can't be reached: ${describeError(error)}.`, remedy);
      }
    }),
  );
}
