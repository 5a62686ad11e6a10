/**
 * One connection in replication mode: a slot, then a stream of WAL data until the end.
 *
 *   connect → identify → createSlot → stream ⇄ confirm → close
 *
 * Within the stream PostgreSQL sends two kinds of messages, `w` (data) and `k` (keepalive); we send one, `r` (how far we
 * are).
 */
import type pg from 'pg';
import { createClient, destroyClient, endClient, internalsOf } from './connection.ts';
import { FeedError, toFeedError } from './errors.ts';
import { parseLsn } from './lsn.ts';
import type { ResolvedFeedOptions } from './options.ts';

export interface StreamHandler {
  /** One message of the plugin, from `offset` to the end of the buffer, which is valid during the call only. */
  data(buffer: Buffer, offset: number): void;
  /** The server has sent everything before this position. */
  idle(position: bigint, replyRequested: boolean): void;
}

/** The format of the values in the stream: the output functions run in this session. */
const OUTPUT_SETTINGS = {
  DateStyle: 'ISO',
  TimeZone: 'UTC',
  IntervalStyle: 'postgres',
  extra_float_digits: '3',
  bytea_output: 'hex',
};

const DATA = 'w'.charCodeAt(0);
const KEEPALIVE = 'k'.charCodeAt(0);
const STATUS = 'r'.charCodeAt(0);
/** Tag, start, end, time. */
const DATA_HEADER_BYTES = 1 + 8 + 8 + 8;
const KEEPALIVE_BYTES = 1 + 8 + 8 + 1;
const STATUS_BYTES = 1 + 8 + 8 + 8 + 8 + 1;
const POSTGRES_EPOCH_MS = 946_684_800_000;

export class ReplicationConnection {
  readonly #client: pg.Client;
  #streaming = false;
  #fail: ((error: Error) => void) | undefined;

  private constructor(client: pg.Client) {
    this.#client = client;
  }

  static async open(options: ResolvedFeedOptions): Promise<ReplicationConnection> {
    const client = createClient(options, {
      applicationName: 'vazao feed (stream)',
      replication: true,
      settings: OUTPUT_SETTINGS,
    });
    try {
      await client.connect();
    } catch (error) {
      destroyClient(client);
      throw error;
    }
    return new ReplicationConnection(client);
  }

  get processId(): number {
    return internalsOf(this.#client).processID ?? 0;
  }

  async identify(): Promise<{ systemId: string; timeline: number }> {
    const { rows } = await this.#client.query<{ systemid: string; timeline: number }>('IDENTIFY_SYSTEM');
    const row = rows[0];
    if (!row) throw new FeedError('ERR_FEED_PROTOCOL', 'IDENTIFY_SYSTEM returned nothing.');
    return { systemId: row.systemid, timeline: Number(row.timeline) };
  }

  /**
   * Creates a temporary slot; PostgreSQL drops it with the connection, so a consumer that dies never fills the disk.
   * Returns the consistent point: the stream has every transaction that commits after it, whole.
   *
   * The options are in the old grammar, without parentheses, which all versions from 10 on understand.
   */
  async createSlot(name: string): Promise<bigint> {
    const { rows } = await this.#client.query<{ consistent_point: string }>(
      `CREATE_REPLICATION_SLOT "${name}" TEMPORARY LOGICAL pgoutput NOEXPORT_SNAPSHOT`,
    );
    return parseLsn(rows[0]?.consistent_point ?? '');
  }

  /**
   * Starts the stream; resolves when it flows. `lost` is called once, when it ends for whatever reason, a message that
   * was not understood and an error of the handler included: nothing is ever skipped.
   */
  stream(slot: string, publication: string, handler: StreamHandler, lost: (error: Error) => void): Promise<void> {
    const { connection } = internalsOf(this.#client);
    return new Promise((resolve, reject) => {
      const fail = (error: Error): void => {
        if (this.#fail === undefined) return;
        this.#fail = undefined;
        destroyClient(this.#client);
        if (this.#streaming) lost(error);
        else reject(error);
      };
      this.#fail = fail;
      connection.on('replicationStart', () => {
        this.#streaming = true;
        resolve();
      });
      connection.on('copyData', ({ chunk }) => {
        if (this.#fail === undefined) return; // what the socket still held when the stream was given up
        try {
          receive(chunk, handler);
        } catch (error) {
          fail(
            error instanceof FeedError ? error : new FeedError('ERR_FEED_PROTOCOL', String(error), { cause: error }),
          );
        }
      });
      // 0/0 is "from where the slot is", its consistent point.
      const names = `"${publication.replaceAll('"', '""')}"`.replaceAll("'", "''");
      this.#client
        .query(
          `START_REPLICATION SLOT "${slot}" LOGICAL 0/0 (proto_version '1', publication_names '${names}', messages 'true')`,
        )
        .then(() => fail(new FeedError('ERR_FEED_STREAM', 'PostgreSQL ended the replication stream.')))
        .catch((error: unknown) => {
          fail(
            new FeedError('ERR_FEED_STREAM', `The replication stream broke: ${toFeedError(error).message}`, {
              cause: error,
            }),
          );
        });
    });
  }

  /**
   * Tells the server how far we are. It may then forget the WAL before; and a server whose client is behind sends a
   * keepalive whenever it goes idle (`WalSndWaitForWal`), which carries the positions of WAL that has nothing for us.
   */
  confirm(position: bigint, nowWallMs: number, replyRequested = false): void {
    if (this.#fail === undefined) return;
    const status = Buffer.allocUnsafe(STATUS_BYTES);
    status.writeUInt8(STATUS, 0);
    status.writeBigUInt64BE(position, 1); // written
    status.writeBigUInt64BE(position, 9); // flushed
    status.writeBigUInt64BE(position, 17); // applied
    status.writeBigInt64BE(BigInt(Math.round((nowWallMs - POSTGRES_EPOCH_MS) * 1000)), 25);
    status.writeUInt8(replyRequested ? 1 : 0, 33);
    internalsOf(this.#client).connection.sendCopyFromChunk(status);
  }

  /** Gives the stream up as lost. */
  abort(error: Error): void {
    if (this.#fail) this.#fail(error);
    else destroyClient(this.#client);
  }

  /**
   * Ends the stream by agreement (CopyDone, Terminate), and waits for the server to close the socket, which it does when
   * it has dropped the slot. When it does not answer in time the socket is destroyed; the server notices that, later.
   */
  async close(): Promise<void> {
    if (this.#fail && this.#streaming) {
      this.#fail = undefined;
      await finishCopy(this.#client);
    } else if (this.#fail) {
      this.#fail(new FeedError('ERR_FEED_CLOSED', 'The feed was closed.'));
    }
    await endClient(this.#client);
  }
}

const COPY_DONE_TIMEOUT_MS = 1_000;

function finishCopy(client: pg.Client): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, COPY_DONE_TIMEOUT_MS);
    const done = (): void => {
      clearTimeout(timer);
      resolve();
    };
    client.once('drain', done); // the query that is the stream has returned
    client.once('end', done);
    internalsOf(client).connection.endCopyFrom();
  });
}

function receive(chunk: Buffer, handler: StreamHandler): void {
  const tag = chunk[0];
  if (tag === DATA && chunk.length > DATA_HEADER_BYTES) {
    handler.data(chunk, DATA_HEADER_BYTES);
  } else if (tag === KEEPALIVE && chunk.length === KEEPALIVE_BYTES) {
    handler.idle(chunk.readBigUInt64BE(1), chunk[17] === 1);
  } else {
    throw new FeedError(
      'ERR_FEED_PROTOCOL',
      `Unknown message in the replication stream (tag ${tag}, ${chunk.length} bytes).`,
    );
  }
}
