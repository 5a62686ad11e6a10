/**
 * A real PostgreSQL primary with standbys, in a temporary folder, for faults that need more than one server.
 *
 *   <folder>/<name>/      data directory of a server; a standby's is made by pg_basebackup -R
 *   <folder>/<name>.log   what it says
 *   <folder>/passfile     of the superuser, for the programs and for replication
 *
 * One server is the primary, as this object sees it; `promote` moves that role. It does not touch the old primary, which may
 * still run and accept writes that are then lost: so does a real failover without fencing. `rejoin` makes it a standby again.
 *
 * Nothing is written durably (`fsync = off`): a killed process loses nothing by that, only a machine without power would.
 */
import { randomBytes } from 'node:crypto';
import { appendFile, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { giveTo, resolveAccount } from '../../runtime/embedded-account.ts';
import { untilTold } from './bounded.ts';
import { PartError } from './errors.ts';
import { type ClusterPlace, PostgresNode } from './postgres-node.ts';
import { findPostgresPrograms, runAs } from './postgres-programs.ts';

const PROGRAM_TIMEOUT_MS = 60_000;
const STREAMING_TIMEOUT_MS = 20_000;
const REPLAY_TIMEOUT_MS_DEFAULT = 20_000;
const PROMOTION_TIMEOUT_S = 30;
const STANDBYS_MAX = 8;

const SETTINGS: Readonly<Record<string, string>> = {
  wal_level: 'logical',
  max_wal_senders: '60',
  max_replication_slots: '60',
  max_connections: '200',
  fsync: 'off',
  shared_buffers: '64MB',
  // What a standby that was away, and pg_rewind, still find.
  wal_keep_size: '512MB',
  wal_log_hints: 'on',
  wal_retrieve_retry_interval: '100ms',
  log_checkpoints: 'off',
};

export interface StandbyOptions {
  /** Lower-case letters, digits and `_`; also its `application_name` and `cluster_name`. */
  readonly name: string;
  /** Commits on the primary wait for it. @defaultValue false */
  readonly synchronous?: boolean | undefined;
}

export interface ClusterOptions {
  /** At most 8. @defaultValue none */
  readonly standbys?: readonly StandbyOptions[] | undefined;
  /** As in `postgresql.conf`, for all servers. */
  readonly settings?: Readonly<Record<string, string>> | undefined;
}

/** Starts a cluster; close it with `close()` or `await using`. Throws {@link PartError}, `RuntimeError` without a user to run as. */
export async function startCluster(options: ClusterOptions = {}): Promise<PostgresCluster> {
  const { standbys = [], settings = {} } = options;
  for (const { name } of standbys) assertName(name);
  if (standbys.length > STANDBYS_MAX) throw new PartError('ERR_PART_OPTION', `At most ${STANDBYS_MAX} standbys.`);
  const programs = await findPostgresPrograms();
  const folder = await mkdtemp(join(tmpdir(), 'vazao-cluster-'));
  let cluster: PostgresCluster | undefined;
  try {
    const account = await resolveAccount(folder, join(programs, 'postgres'));
    const place: ClusterPlace = { folder, programs, account, password: randomBytes(24).toString('base64url') };
    const primary = await PostgresNode.create('primary', place);
    cluster = new PostgresCluster(place, primary);
    await initialise(place, primary, settings);
    await primary.start();
    for (const standby of standbys) await cluster.addStandby(standby);
    const synchronous = standbys.filter((standby) => standby.synchronous).map(({ name }) => name);
    if (synchronous.length > 0) await cluster.setSynchronous(synchronous);
    return cluster;
  } catch (error) {
    await cluster?.close();
    await rm(folder, { recursive: true, force: true });
    throw error;
  }
}

async function initialise(
  place: ClusterPlace,
  { dataFolder }: PostgresNode,
  settings: Readonly<Record<string, string>>,
): Promise<void> {
  const { folder, programs, account, password } = place;
  const passwordFile = join(folder, 'password');
  await writeFile(passwordFile, password, { mode: 0o600 });
  await writeFile(passfileOf(place), `*:*:*:postgres:${password}\n`, { mode: 0o600 });
  for (const file of [passwordFile, passfileOf(place)]) giveTo(account, file);
  const words = ['--username=postgres', '--auth=scram-sha-256', '--encoding=UTF8', '--locale=C', '--no-sync'];
  const own = [`--pgdata=${dataFolder}`, `--pwfile=${passwordFile}`];
  await runAs(account, join(programs, 'initdb'), [...words, ...own], folder, PROGRAM_TIMEOUT_MS);
  // In the file, and not as words of the command: what is set there can't be changed by ALTER SYSTEM.
  const lines = Object.entries({ ...SETTINGS, ...settings }).map(([name, value]) => `${name} = ${quote(value)}\n`);
  await appendFile(join(dataFolder, 'postgresql.conf'), lines.join(''));
}

export class PostgresCluster implements AsyncDisposable {
  readonly #place: ClusterPlace;
  readonly #nodes = new Map<string, PostgresNode>();
  readonly #standbys = new Set<PostgresNode>();
  #primary: PostgresNode;

  /** Use {@link startCluster}. */
  constructor(place: ClusterPlace, primary: PostgresNode) {
    this.#place = place;
    this.#primary = primary;
    this.#nodes.set(primary.name, primary);
  }

  /** Where the next writes belong: the first server, or the one that was promoted last. */
  get primary(): PostgresNode {
    return this.#primary;
  }

  get standbys(): readonly PostgresNode[] {
    return [...this.#standbys];
  }

  /** A server by its name; the first primary is called `primary` for ever. Throws {@link PartError}. */
  node(name: string): PostgresNode {
    const node = this.#nodes.get(name);
    if (node) return node;
    throw new PartError(
      'ERR_PART_OPTION',
      `No server is called ${name}; there are ${[...this.#nodes.keys()].join(', ')}.`,
    );
  }

  /** Copies the primary with `pg_basebackup`, and resolves when the copy follows it. */
  async addStandby({ name }: Pick<StandbyOptions, 'name'>): Promise<PostgresNode> {
    assertName(name);
    if (this.#nodes.has(name)) throw new PartError('ERR_PART_OPTION', `There is already a server called ${name}.`);
    const node = await PostgresNode.create(name, this.#place);
    this.#nodes.set(name, node);
    await this.#copyPrimaryTo(node);
    await this.#startStandby(node);
    return node;
  }

  /**
   * Makes the standby the primary, on the next timeline, and lets the other running standbys follow it. Commits wait for
   * nobody then (`setSynchronous` changes that), and it has no apply delay. The old primary is left as it is.
   */
  async promote(standby: PostgresNode): Promise<void> {
    this.#assertStandby(standby);
    await standby.set({ synchronous_standby_names: '', recovery_min_apply_delay: '0' });
    const [row] = await standby.query<{ done: boolean }>('select pg_promote(true, $1) as done', [PROMOTION_TIMEOUT_S]);
    if (!row?.done) {
      throw new PartError(
        'ERR_PART_TIMEOUT',
        `${standby.name} was not promoted within ${PROMOTION_TIMEOUT_S} s; see ${standby.logFile}.`,
      );
    }
    this.#standbys.delete(standby);
    this.#primary = standby;
    for (const other of this.#standbys) {
      if (other.isRunning) await other.set({ primary_conninfo: this.#conninfo(other) });
    }
  }

  /**
   * Makes a server that was a primary a standby of the current one; what only it had committed is lost. `'rewind'` changes
   * what differs (`pg_rewind`), `'copy'` throws its data away and copies the primary's.
   */
  async rejoin(node: PostgresNode, how: 'rewind' | 'copy'): Promise<void> {
    if (node === this.#primary || this.#standbys.has(node)) {
      throw new PartError(
        'ERR_PART_STATE',
        `${node.name} is the ${node === this.#primary ? 'primary' : 'standby'}: promote another server first.`,
      );
    }
    await node.stop('fast');
    if (how === 'copy') {
      await rm(node.dataFolder, { recursive: true, force: true });
      await this.#copyPrimaryTo(node);
    } else {
      // Before its first checkpoint a promoted server's control file still names the old timeline, and there would be nothing to do.
      await this.#primary.query('checkpoint');
      const source = `--source-server=${this.#conninfo(node)} dbname=postgres`;
      const words = [`--target-pgdata=${node.dataFolder}`, source, '--write-recovery-conf', '--no-sync'];
      await this.#run('pg_rewind', words);
    }
    await this.#startStandby(node);
  }

  /** Commits wait for the first of these that is connected; for none, they wait for nobody. In force when it resolves. */
  async setSynchronous(names: readonly string[]): Promise<void> {
    for (const name of names) this.node(name);
    await this.#primary.set({ synchronous_standby_names: names.join(', ') });
    // Sessions wait once the checkpointer has published the setting; it does so before it answers this.
    await this.#primary.query('checkpoint');
    await untilTold(
      `${this.#primary.name} counts ${names.join(', ') || 'nobody'} as synchronous`,
      async () => {
        const [row] = await this.#primary.query<{ done: boolean }>(
          `select coalesce(bool_and((sync_state <> 'async') = (application_name = any($1))), true) as done from pg_stat_replication`,
          [names],
        );
        return row?.done;
      },
      STREAMING_TIMEOUT_MS,
    );
  }

  /** The standby shows commits so much later than the primary made them; 0 ends it. */
  async setApplyDelay(standby: PostgresNode, delayMs: number): Promise<void> {
    this.#assertStandby(standby);
    await standby.set({ recovery_min_apply_delay: `${Math.round(delayMs)}ms` });
  }

  /** The standby goes on receiving and shows nothing new. Resolves when it has stopped. */
  async pauseReplay(standby: PostgresNode): Promise<void> {
    this.#assertStandby(standby);
    await standby.query('select pg_wal_replay_pause()');
    await untilTold(
      `${standby.name} has paused`,
      async () => {
        const [row] = await standby.query<{ state: string }>('select pg_get_wal_replay_pause_state() as state');
        return row?.state === 'paused';
      },
      REPLAY_TIMEOUT_MS_DEFAULT,
    );
  }

  async resumeReplay(standby: PostgresNode): Promise<void> {
    this.#assertStandby(standby);
    await standby.query('select pg_wal_replay_resume()');
  }

  /** Resolves when the standby shows everything that the primary has committed so far. Throws {@link PartError}. */
  async untilReplayed(standby: PostgresNode, timeoutMs: number = REPLAY_TIMEOUT_MS_DEFAULT): Promise<void> {
    const [now] = await this.#primary.query<{ position: string }>(
      'select pg_current_wal_flush_lsn()::text as position',
    );
    await untilTold(
      `${standby.name} has replayed ${now?.position}`,
      async () => {
        const [row] = await standby.query<{ done: boolean }>('select pg_last_wal_replay_lsn() >= $1::pg_lsn as done', [
          now?.position,
        ]);
        return row?.done;
      },
      timeoutMs,
    );
  }

  /** Ends all servers at once, and removes the folder. */
  async close(): Promise<void> {
    await Promise.all([...this.#nodes.values()].map((node) => node.kill()));
    await rm(this.#place.folder, { recursive: true, force: true });
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #copyPrimaryTo(node: PostgresNode): Promise<void> {
    const words = [`--pgdata=${node.dataFolder}`, `--dbname=${this.#conninfo(node)}`];
    await this.#run('pg_basebackup', [...words, '--write-recovery-conf', '--checkpoint=fast', '--no-sync']);
  }

  async #startStandby(node: PostgresNode): Promise<void> {
    await node.start();
    this.#standbys.add(node);
    await untilTold(
      `${node.name} follows ${this.#primary.name}`,
      async () => {
        const [row] = await this.#primary.query<{ state: string }>(
          'select state from pg_stat_replication where application_name = $1',
          [node.name],
        );
        return row?.state === 'streaming';
      },
      STREAMING_TIMEOUT_MS,
    );
  }

  /** How a server of that name reaches the primary. */
  #conninfo(node: PostgresNode): string {
    return `host=127.0.0.1 port=${this.#primary.port} user=postgres passfile=${passfileOf(this.#place)} sslmode=disable application_name=${node.name}`;
  }

  #run(program: string, words: readonly string[]): Promise<void> {
    const { account, programs, folder } = this.#place;
    return runAs(account, join(programs, program), words, folder, PROGRAM_TIMEOUT_MS);
  }

  #assertStandby(node: PostgresNode): void {
    if (this.#standbys.has(node)) return;
    throw new PartError(
      'ERR_PART_STATE',
      `${node.name} is no standby; standbys are ${this.standbys.map(({ name }) => name).join(', ') || 'none'}.`,
    );
  }
}

function passfileOf({ folder }: ClusterPlace): string {
  return join(folder, 'passfile');
}

function quote(value: string): string {
  return `'${value.replaceAll("'", "''")}'`;
}

function assertName(name: string): void {
  if (/^[a-z][a-z0-9_]{0,30}$/.test(name) && name !== 'password' && name !== 'passfile') return;
  throw new PartError(
    'ERR_PART_OPTION',
    `A server can't be called ${JSON.stringify(name)}; allowed are lower-case letters, digits and _, from a letter on.`,
  );
}
