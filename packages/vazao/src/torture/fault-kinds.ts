/** The kinds of faults: what each breaks, for how long, and how it is mended. Each is over, and mended, when it resolves. */
import { setTimeout as delay } from 'node:timers/promises';
import pg from 'pg';
import { type FaultKind, type FaultPlan, type FaultWorld, needsNothing } from './fault.ts';
import { HOST_FAULTS } from './host-faults.ts';
import type { PostgresNode } from './parts/postgres-node.ts';
import type { Random } from './random.ts';
import { REDIS_FAULTS } from './redis-faults.ts';
import { REPLICA, type Stage } from './stage.ts';

const needsReplicas = ({ stage }: FaultWorld): string | undefined =>
  stage.knows('DATABASE_REPLICA_URLS') ? undefined : 'no reads from replicas (DATABASE_REPLICA_URLS)';

/** What serves the feeds: the walsender of each slot, and each session that polls an outbox. */
const FEED_SESSIONS = `select active_pid as pid from pg_replication_slots where temporary and active_pid is not null
  union all select pid from pg_stat_activity where application_name = 'vazao feed (outbox)'`;

export const FAULT_KINDS: readonly FaultKind[] = [
  ...REDIS_FAULTS,
  ...HOST_FAULTS,
  {
    name: 'feed-dropped',
    excuses: false,
    typicalMs: 50,
    missing: needsNothing,
    plan: () => ({
      takes: ['feed'],
      detail: 'its connection ended, and its slot with it',
      async run({ stage }) {
        // The slots are temporary: each goes with its session.
        await stage.cluster.primary.query(`select pg_terminate_backend(pid) from (${FEED_SESSIONS}) sessions`);
      },
    }),
  },
  {
    name: 'feed-frozen',
    excuses: false,
    typicalMs: 1_700,
    missing: needsNothing,
    plan(_world, seeded) {
      const one = seeded.next() < 0.5;
      return {
        takes: ['feed'],
        detail: `of ${one ? 'one host' : 'all hosts'}: its connection stays, and nothing comes`,
        async run({ stage }, random) {
          const rows = await stage.cluster.primary.query<{ pid: number }>(FEED_SESSIONS);
          // One that goes on may be ahead of the other.
          const pids = one && rows.length > 0 ? [random.pick(rows)] : rows;
          for (const { pid } of pids) trySignal(pid, 'SIGSTOP');
          await delay(random.between(300, 3_000));
          for (const { pid } of pids) trySignal(pid, 'SIGCONT');
        },
      };
    },
  },
  proxyFault('database-cut', 'cut', 50, 1_000),
  proxyFault('database-stalled', 'pause', 200, 2_500),
  proxyFault('connections-dropped', 'drop', 0, 0),
  {
    name: 'failover',
    excuses: true,
    typicalMs: 9_000,
    missing: needsNothing,
    plan: planFailover,
  },
  {
    name: 'replica-paused',
    excuses: false,
    typicalMs: 1_400,
    missing: needsReplicas,
    plan: () => ({
      takes: ['replica'],
      detail: 'its replay',
      async run({ stage: { cluster } }, random) {
        const replica = cluster.node(REPLICA);
        await cluster.pauseReplay(replica);
        await delay(random.between(200, 2_500));
        await cluster.resumeReplay(replica);
      },
    }),
  },
  {
    name: 'replica-killed',
    excuses: false,
    typicalMs: 1_500,
    missing: needsReplicas,
    plan: () => ({
      takes: ['replica'],
      detail: 'and started again',
      async run({ stage: { cluster } }, random) {
        const replica = cluster.node(REPLICA);
        await replica.kill();
        await delay(random.between(0, 1_000));
        await replica.start();
      },
    }),
  },
  {
    name: 'standby-slow',
    excuses: false,
    typicalMs: 1_300,
    missing: needsNothing,
    plan(_world, random) {
      const delayMs = Math.round(random.between(5, 150));
      return {
        takes: ['standby'],
        detail: `commits wait ${delayMs} ms for the synchronous standby`,
        async run({ stage }) {
          const standby = findStandby(stage);
          await stage.cluster.setApplyDelay(standby, delayMs);
          await delay(random.between(500, 2_000));
          await stage.cluster.setApplyDelay(standby, 0);
        },
      };
    },
  },
  {
    name: 'long-transaction',
    excuses: false,
    typicalMs: 1_800,
    // What is still open when the feed comes back, or a server takes over, is what a new slot has to wait for.
    accompanies: ['feed-dropped', 'database-cut', 'feed-frozen', 'failover', 'connections-dropped', 'database-stalled'],
    missing: needsNothing,
    plan: () => ({
      takes: ['long'],
      detail: 'it has an id, and stays open',
      async run({ stage }, random) {
        const lastsMs = random.between(500, 3_000);
        const end = random.next() < 0.5 ? 'commit' : 'rollback';
        await withClient(stage, async (client) => {
          await client.query('begin isolation level repeatable read');
          await client.query('select pg_current_xact_id()');
          await delay(lastsMs);
          await client.query(end);
        }).catch((error) => {
          if (!isServerGone(error)) throw error; // else it has ended with its server
        });
      },
    }),
  },
  {
    name: 'schema-changed',
    excuses: false,
    typicalMs: 400,
    missing: ({ profile }) =>
      (profile.schemaChanges ?? []).length > 0 ? undefined : 'the profile has no schemaChanges',
    plan({ profile }, random) {
      const { schemaChanges = [] } = profile;
      if (schemaChanges.length === 0) return undefined;
      const [apply, undo] = random.pick(schemaChanges);
      return {
        takes: ['schema'],
        detail: apply,
        async run({ stage }) {
          await withClient(stage, async (client) => {
            await patiently(client, apply);
            await delay(random.between(50, 500));
            await patiently(client, undo);
          });
        },
      };
    },
  },
];

function proxyFault(name: string, verb: 'cut' | 'pause' | 'drop', minMs: number, maxMs: number): FaultKind {
  return {
    name,
    excuses: true,
    typicalMs: (minMs + maxMs) / 2,
    missing: needsNothing,
    plan: () => ({
      takes: ['primary'],
      detail: '',
      async run({ stage }, random) {
        await stage.proxy.tell(verb);
        await delay(random.between(minMs, maxMs));
        await stage.proxy.tell('resume');
      },
    }),
  };
}

/**
 * The primary dies, the synchronous standby takes its place and its address, and the old one comes back as the synchronous
 * standby. Meanwhile nothing else may be wrong with the servers, so that no other step of it fails.
 */
function planFailover(_world: FaultWorld, random: Random): FaultPlan {
  const how = random.next() < 0.7 ? 'rewind' : 'copy';
  let old: PostgresNode;
  return {
    takes: ['primary', 'standby', 'replica', 'schema', 'feed'],
    detail: `the old primary comes back by ${how}`,
    async run({ stage: { cluster, proxy }, stage, onFailover }) {
      old = cluster.primary;
      const standby = findStandby(stage);
      await old.kill();
      onFailover();
      await proxy.tell('drop');
      await cluster.promote(standby);
      await proxy.pointTo(standby.url);
    },
    async mend({ stage: { cluster } }) {
      await cluster.rejoin(old, how);
      await cluster.setSynchronous([old.name]);
    },
  };
}

function trySignal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name);
  } catch {
    // It has ended meanwhile.
  }
}

function findStandby({ cluster }: Stage): PostgresNode {
  const standby = cluster.standbys.find(({ name }) => name !== REPLICA);
  if (!standby) throw new Error('There is no synchronous standby.');
  return standby;
}

async function withClient(stage: Stage, use: (client: pg.Client) => Promise<void>): Promise<void> {
  const client = new pg.Client({
    connectionString: stage.cluster.primary.urlOf(stage.databaseName),
    application_name: 'torture fault',
  });
  client.on('error', () => {}); // the statement itself tells
  await client.connect();
  try {
    await use(client);
  } finally {
    await client.end().catch(() => {});
  }
}

function isServerGone(error: Error & { readonly code?: string }): boolean {
  return (
    ['ECONNREFUSED', 'ECONNRESET', 'EPIPE', '57P01', '57P02', '57P03'].includes(error.code ?? '') ||
    /terminated|not queryable/.test(error.message)
  );
}

const TRIES_MAX = 60;

/** A change of the schema waits for its lock for a short while only, so that others don't queue up behind it. */
async function patiently(client: pg.Client, text: string): Promise<void> {
  for (let tries = 1; ; tries++) {
    try {
      await client.query("set lock_timeout = '200ms'");
      await client.query(text);
      return;
    } catch (error) {
      const isBusy = ['55P03', '40P01'].includes((error as { code?: string }).code ?? '');
      if (!isBusy || tries >= TRIES_MAX) throw error;
      await delay(100);
    }
  }
}
