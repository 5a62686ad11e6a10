/** Several Redis that belong together: a cluster without replicas, and a master with a replica that a sentinel watches. */
import { untilTold } from './bounded.ts';
import { findFreePort } from './free-port.ts';
import { launchRedis, type RedisOptions, type RedisServer, runRedisCli, startRedisServer } from './redis-server.ts';

const MASTERS = 3;
const JOINED_TIMEOUT_MS = 20_000;
/** A master that is silent for so long is replaced. Less, and a busy machine has failovers that nobody asked for. */
const DOWN_AFTER_MS = 3_000;

export interface RedisCluster extends AsyncDisposable {
  /** Each has a third of the slots. Any of them names the others to a client. */
  readonly servers: readonly RedisServer[];
  close(): Promise<void>;
}

/** Starts three masters that share the slots; none has a replica, so a dead one takes its slots along. */
export async function startRedisCluster(options: RedisOptions = {}): Promise<RedisCluster> {
  const group = createGroup();
  try {
    for (let n = 0; n < MASTERS; n += 1) {
      const bus = await findFreePort(); // not the usual "port + 10 000": that may be taken
      const own = ['cluster-enabled yes', `cluster-port ${bus}`, 'cluster-node-timeout 1000'];
      group.add(await startRedisServer({ ...options, settings: [...own, ...(options.settings ?? [])] }));
    }
    const addresses = group.servers.map(({ port }) => `127.0.0.1:${port}`);
    await runRedisCli(['--cluster', 'create', ...addresses, '--cluster-yes'], options.password);
    for (const server of group.servers) {
      await untilTold(
        'the cluster is complete',
        async () => /cluster_state:ok[\s\S]*cluster_known_nodes:3/.test(await server.command('cluster', 'info')),
        JOINED_TIMEOUT_MS,
      );
    }
    return { servers: group.servers, close: group.close, [Symbol.asyncDispose]: group.close };
  } catch (error) {
    await group.close();
    throw error;
  }
}

export interface RedisSentinel extends AsyncDisposable {
  /** What the sentinel calls the master. */
  readonly masterName: string;
  /** The first master; after a failover it is none, or a replica. */
  readonly master: RedisServer;
  /** The first replica. */
  readonly replica: RedisServer;
  readonly sentinel: RedisServer;
  /** The port of the master, as the sentinel knows it. */
  findMasterPort(): Promise<number>;
  close(): Promise<void>;
}

/** Starts a master with a replica, and one sentinel that replaces the master when it is silent for three seconds. */
export async function startRedisSentinel(options: RedisOptions = {}): Promise<RedisSentinel> {
  const group = createGroup();
  const masterName = 'vazao';
  try {
    // Else a master waits 5 s for further replicas before it sends its data.
    const settings = ['repl-diskless-sync-delay 0', ...(options.settings ?? [])];
    const master = group.add(await startRedisServer({ ...options, settings }));
    const follow = `replicaof 127.0.0.1 ${master.port}`;
    const replica = group.add(await startRedisServer({ ...options, settings: [follow, ...settings] }));
    await untilTold(
      'the replica follows',
      async () => /master_link_status:up/.test(await replica.command('info', 'replication')),
      JOINED_TIMEOUT_MS,
    );
    const watch = [
      `sentinel monitor ${masterName} 127.0.0.1 ${master.port} 1`,
      `sentinel down-after-milliseconds ${masterName} ${DOWN_AFTER_MS}`,
      `sentinel failover-timeout ${masterName} 2000`,
      ...(options.password === undefined ? [] : [`sentinel auth-pass ${masterName} ${options.password}`]),
    ];
    const sentinel = group.add(await launchRedis({ settings: watch }, 'sentinel'));
    await untilTold(
      'the sentinel knows the replica',
      async () => /num-slaves\n1\n/.test(await sentinel.command('sentinel', 'master', masterName)),
      JOINED_TIMEOUT_MS,
    );
    return {
      masterName,
      master,
      replica,
      sentinel,
      async findMasterPort() {
        const address = await sentinel.command('sentinel', 'get-master-addr-by-name', masterName);
        return Number(address.split('\n')[1]);
      },
      close: group.close,
      [Symbol.asyncDispose]: group.close,
    };
  } catch (error) {
    await group.close();
    throw error;
  }
}

interface Group {
  readonly servers: RedisServer[];
  add(server: RedisServer): RedisServer;
  close(): Promise<void>;
}

function createGroup(): Group {
  const servers: RedisServer[] = [];
  return {
    servers,
    add(server) {
      servers.push(server);
      return server;
    },
    async close() {
      await Promise.all(servers.map((server) => server.close()));
    },
  };
}
