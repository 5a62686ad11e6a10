/**
 * One stream, from its slot to its loss: decodes and assembles what comes, keeps the heart beating, tells the server how
 * far we are, and notices silence. What it all means is for the handler, which is called in the order of the WAL.
 */
import { FeedError } from './errors.ts';
import { HEARTBEAT_PREFIX, Heartbeats, type ReturnedHeartbeat } from './heartbeat.ts';
import type { ResolvedFeedOptions } from './options.ts';
import { decodePgoutput } from './pgoutput.ts';
import { type PublicationState, syncPublication } from './publication.ts';
import type { RelationRegistry } from './relations.ts';
import { type SchemaChange, SchemaSync } from './schema-sync.ts';
import type { Session } from './session.ts';
import { type Transaction, TransactionAssembler } from './transaction.ts';

export interface ChangeHandler {
  transaction(transaction: Transaction): void;
  /** Everything committed before the position has been handed over. */
  advanced(position: bigint): void;
  heartbeat(heartbeat: ReturnedHeartbeat): void;
  lag(lagMs: number): void;
  /** The publication is in step with a schema change. */
  synced(state: PublicationState, change: SchemaChange): void;
  /** Something failed that is tried again. */
  problem(error: FeedError): void;
  /** Called once; nothing comes after it. */
  lost(error: Error): void;
}

export interface StreamContext {
  readonly options: ResolvedFeedOptions;
  readonly feedId: string;
  /** Of this stream. */
  readonly epoch: number;
  readonly relations: RelationRegistry;
}

export class ChangeStream {
  readonly session: Session;
  readonly heartbeats: Heartbeats;
  readonly schemaSync: SchemaSync;
  readonly #options: ResolvedFeedOptions;
  readonly #assembler: TransactionAssembler;
  readonly #handler: ChangeHandler;
  #ticker: NodeJS.Timeout | undefined;
  #position: bigint;
  #confirmed = 0n;
  #closed = false;
  /** Beats since the last byte while a heartbeat was overdue. Counted, not timed: a busy event loop is not silence. */
  #silentBeats = 0;

  constructor(session: Session, context: StreamContext, handler: ChangeHandler) {
    const { options, feedId, epoch, relations } = context;
    this.session = session;
    this.#options = options;
    this.#handler = handler;
    this.#position = session.consistentPoint;
    relations.reset();
    this.#assembler = new TransactionAssembler(relations, options);
    // The id is the stream's own: a heartbeat of the stream before must not count for this one.
    const server = { version: session.serverVersion, fingerprint: session.fingerprint };
    this.heartbeats = new Heartbeats(options, `${feedId}.${epoch}`, server, {
      problem: (error) => handler.problem(error),
      schemaChanged: (what) => this.schemaSync.request({ xids: [], unordered: what === 'schema' }),
      lag: (lagMs) => handler.lag(lagMs),
    });
    const { publication, selection } = options;
    const target = { publication, selection, feedId, serverVersion: session.serverVersion };
    this.schemaSync = new SchemaSync(options, (client) => syncPublication(client, target), {
      synced: (state, change) => handler.synced(state, change),
      problem: (error) => handler.problem(error),
    });
  }

  /** Resolves when the stream flows. */
  async start(): Promise<void> {
    const { connection, slot } = this.session;
    await connection.stream(
      slot,
      this.#options.publication,
      {
        data: (buffer, offset) => this.#onData(buffer, offset),
        idle: (position, replyRequested) => this.#onIdle(position, replyRequested),
      },
      (error) => {
        clearInterval(this.#ticker);
        this.#handler.lost(error);
      },
    );
    if (this.#closed) throw new FeedError('ERR_FEED_CLOSED', 'The feed was closed.');
    this.#ticker = setInterval(() => this.#tick(), this.#options.heartbeatMs);
    this.heartbeats.beat();
  }

  /** Gives the stream up as lost. */
  abort(error: Error): void {
    this.session.connection.abort(error);
  }

  async close(): Promise<void> {
    this.#closed = true;
    clearInterval(this.#ticker);
    await Promise.all([this.heartbeats.stop(), this.schemaSync.stop(), this.session.connection.close()]);
  }

  #onData(buffer: Buffer, offset: number): void {
    this.#silentBeats = 0;
    const message = decodePgoutput(buffer, offset, this.#assembler.skipsRowsOf);
    if (message.kind === 'message' && !message.transactional) {
      this.#advance(message.position);
      if (message.prefix === HEARTBEAT_PREFIX) this.#onHeartbeat(message.content);
      return;
    }
    const transaction = this.#assembler.apply(message, buffer.length - offset);
    if (!transaction) return;
    this.#handler.transaction(transaction);
    this.#advance(transaction.position);
    for (const { prefix, content } of transaction.messages) {
      if (prefix === HEARTBEAT_PREFIX) this.#onHeartbeat(content);
    }
  }

  #onIdle(position: bigint, replyRequested: boolean): void {
    this.#silentBeats = 0;
    this.#advance(position);
    this.#confirm(replyRequested);
  }

  #onHeartbeat(content: string): void {
    const heartbeat = this.heartbeats.returned(content);
    if (heartbeat) this.#handler.heartbeat(heartbeat);
  }

  #advance(position: bigint): void {
    if (position <= this.#position) return;
    this.#position = position;
    this.#handler.advanced(position);
  }

  #tick(): void {
    const { heartbeatMs, silenceMs } = this.#options;
    if (this.heartbeats.overdueSinceMs === undefined) this.#silentBeats = 0;
    else this.#silentBeats++;
    const silentMs = this.#silentBeats * heartbeatMs;
    if (silentMs > silenceMs) {
      const text = `The replication stream was silent for ${silentMs} ms although heartbeats were written.`;
      this.abort(new FeedError('ERR_FEED_STREAM', text));
      return;
    }
    // A server that is busy sends no keepalive that we could answer, so positions are also confirmed at each beat.
    // Half-way to giving up, the server is asked for a word.
    this.#confirm(false, silentMs > silenceMs / 2);
    this.heartbeats.beat();
  }

  #confirm(replyRequested: boolean, wantsReply = false): void {
    if (this.#position <= this.#confirmed && !replyRequested && !wantsReply) return;
    this.#confirmed = this.#position;
    this.session.connection.confirm(this.#position, this.#options.clock.wallMs(), wantsReply);
  }
}
