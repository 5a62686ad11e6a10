/**
 * Freshness without a clock that two hosts share: this host asks the database itself how far its log is.
 *
 *   asked, at a moment of the own clock ──► the log stands at P ──► what is told passes P, and is fresh ──► proven
 *
 * Everything that committed before the question lies before P. When all up to P has been delivered, and whoever reads the log
 * says, by something written later still, that it is fresh, then nothing is missing that committed before the question: fresh
 * for a lease from there.
 * What is told takes as long as it likes; only its order counts. Without an answer of the database, without a word of the
 * stream, or with another server or timeline on one of the two ways, nothing is proven.
 */
import { destroyClient } from './connection.ts';
import { FeedError } from './errors.ts';
import type { FreshnessProof, ToldFreshness } from './freshness-proof.ts';
import { KeptClient } from './kept-client.ts';
import type { Clock, FeedOptions } from './options.ts';
import { INSERTED_POSITION_SQL, parsePosition } from './position.ts';
import { emitHeartbeatSql } from './sql/emit-heartbeat.ts';

export interface PositionProbeOptions {
  readonly connection: FeedOptions['connection'];
  /** Of the server that the other host reads. */
  readonly systemId: string;
  readonly clock: Clock;
  /** Between two questions. */
  readonly intervalMs: number;
  readonly leaseMs: number;
  readonly connectTimeoutMs: number;
  /** A question that takes longer ends the connection. */
  readonly timeoutMs: number;
}

interface Answer {
  readonly position: bigint;
  readonly askedAtMs: number;
}

interface Row {
  readonly position: string;
  readonly systemId: string;
  readonly version: number;
}

/** Answers that nothing has passed yet. More come only where the stream stands still for seconds: the oldest are of no use then. */
const ANSWERS_MAX = 32;
/**
 * So many answers that nothing has passed call for something to be written. An outbox is told as far as the log is flushed, less a
 * byte while a transaction runs: where nobody writes, that never reaches the answer.
 */
const UNPASSED_MAX = 2;
const TIMELINE_BITS = 64n;
/** Nobody reads it: that it is in the log, and flushed, is what brings the stream past what was written before. */
const NUDGE_PREFIX = 'vazao.nudge';
const ASK_SQL = `select ${INSERTED_POSITION_SQL} as position, (select system_identifier::text from pg_catalog.pg_control_system()) as "systemId",
  pg_catalog.current_setting('server_version_num')::int as version`;

export class PositionProbe implements FreshnessProof {
  readonly #options: PositionProbeOptions;
  /** Oldest first. */
  #answers: Answer[] = [];
  #proven: Answer | undefined;
  #ticker: NodeJS.Timeout | undefined;
  readonly #client: KeptClient;
  #asking: Promise<void> | undefined;
  #wantsNudge = false;
  #onProblem: (error: unknown) => void = () => {};

  constructor(options: PositionProbeOptions) {
    this.#options = options;
    this.#client = new KeptClient(options, 'vazao feed (position)');
  }

  start(onProblem: (error: unknown) => void): void {
    this.#onProblem = onProblem;
    this.#ticker = setInterval(() => this.#ask(), this.#options.intervalMs);
    this.#ticker.unref();
    this.#ask();
  }

  findFreshUntilMs({ leftMs = Number.NEGATIVE_INFINITY }: ToldFreshness, position: bigint): number {
    this.#pass(position);
    const proven = this.#proven;
    if (!proven || proven.position >= position || !isSameTimeline(proven.position, position)) {
      return Number.NEGATIVE_INFINITY;
    }
    // Something after the answer was written after the question, and was told later still. So what was left over there then,
    // counted from the question on, comes out shorter, never longer.
    return proven.askedAtMs + Math.min(leftMs, this.#options.leaseMs);
  }

  /** Somebody waits for what was written: something is written after it. */
  nudge(): void {
    this.#wantsNudge = true;
    this.#ask();
  }

  async close(): Promise<void> {
    clearInterval(this.#ticker);
    await this.#client.close();
    await this.#asking;
  }

  #pass(position: bigint): void {
    const isPassed = (answer: Answer): boolean => answer.position < position;
    const last = this.#answers.findLast(isPassed);
    if (!last) return;
    this.#answers = this.#answers.filter((answer) => !isPassed(answer));
    this.#proven = last;
  }

  /** One question at a time: a server that answers slowly gets fewer, never a queue. */
  #ask(): void {
    if (this.#asking || this.#client.isClosed) return;
    this.#asking = this.#askNow()
      .catch((error: unknown) => {
        this.#client.drop();
        if (!this.#client.isClosed) this.#onProblem(error);
      })
      .finally(() => {
        this.#asking = undefined;
      });
  }

  async #askNow(): Promise<void> {
    const { clock, systemId, timeoutMs } = this.#options;
    const client = await this.#client.connected();
    const deadline = setTimeout(() => destroyClient(client), timeoutMs);
    try {
      for (;;) {
        const isNudged = this.#wantsNudge;
        this.#wantsNudge = false;
        const askedAtMs = clock.monotonicMs();
        const { rows } = await client.query<Row>({ name: 'vazao-probe', text: ASK_SQL });
        const row = rows[0] as Row;
        if (row.systemId !== systemId) {
          const text = `The database is server ${row.systemId}, and the stream tells of server ${systemId}.`;
          throw new FeedError('ERR_FEED_PROTOCOL', text);
        }
        this.#answers.push({ position: parsePosition(row.position), askedAtMs });
        if (this.#answers.length > ANSWERS_MAX) this.#answers.shift();
        if (isNudged || this.#answers.length >= UNPASSED_MAX)
          await client.query(emitHeartbeatSql(row.version), [NUDGE_PREFIX, '']);
        if (!this.#wantsNudge) return;
      }
    } finally {
      clearTimeout(deadline);
    }
  }
}

function isSameTimeline(one: bigint, other: bigint): boolean {
  return one >> TIMELINE_BITS === other >> TIMELINE_BITS;
}
