/**
 * A client: one operation at a time, on connections that it opens, keeps and gives up, carrying what a token tells, or
 * nothing. It reads, and sometimes it writes through the application.
 */

import { type Balancer, Refused } from './balancer.ts';
import type { Checker } from './checker.ts';
import type { CompiledReader, Understood } from './compiled-reader.ts';
import { type Answer, Connection, ConnectionError, findField, writeRequest } from './connection.ts';
import { type Held, HeldAnswers } from './held-answers.ts';
import type { Read } from './history.ts';
import type { Host } from './host.ts';
import type { Pace } from './pace.ts';
import type { RequestWriter } from './profile.ts';
import type { Random } from './random.ts';
import type { AnswerKind, Failure, Staleness, Traffic } from './traffic.ts';
import type { WriteBook } from './write-book.ts';

/** What goes from one request to the next: the header of the last answer, the cookie as a browser keeps it, or nothing. */
export type Carrier = 'header' | 'cookie' | 'nothing';

export interface ClientWorld {
  readonly clock: () => number;
  readonly checker: Pick<Checker, 'forget' | 'readOutdated' | 'report'>;
  /** Judges a read; returns how stale it was, in milliseconds. */
  readonly judge: (read: Read) => number;
  readonly traffic: Traffic;
  readonly balancer: Balancer;
  readonly readers: readonly CompiledReader[];
  readonly writes: WriteBook;
  readonly readPace: Pace;
  readonly signal: AbortSignal;
  /** The headers of a user, written out. */
  readonly proof: (user: string | undefined) => Readonly<Record<string, string>>;
  /** Which of the two counts belongs to a read: without faults, or during them. */
  readonly stalenessOf: (startedAtMs: number) => Staleness;
  /** A read failed: whether it may have is not for the client to say. */
  readonly onFailure: (host: Host, startedAtMs: number, endedAtMs: number, what: string) => void;
}

const READ_TIMEOUT_MS = 8_000;
/** Longer than any fault lasts: a write that is merely slow is waited for, so that few outcomes are unknown. */
const WRITE_TIMEOUT_MS = 60_000;
/** A connection is given up after so many requests, so that each worker gets its share. */
const REQUESTS_MIN = 40;
const REQUESTS_MAX = 400;
const REFUSED_PAUSE_MS = 50;
const SWITCH_CHANCE = 0.3;
/** One client in so many asks with `If-None-Match`; there are some of each carrier among them. */
const CONDITIONAL_EVERY = 4;
const TOKEN_HEADER = 'vazao-position';
const TOKEN_COOKIE = /(?:^|\r\n)set-cookie: vazao-position=([^;\r]+);[^\r]*?Max-Age=(\d+)/i;

/**
 * The fill was left before its end, so the application answered as it does without a cache: each statement by itself. What
 * `Cache-Status` says of all others is that they were computed in one snapshot.
 */
const LEFT =
  /fwd=bypass|not stored: (catalog|statement-failed|connection-lost|session-state|cursor|write|given-up|unfinished|transaction|too-large|client)/;

const STALE = /fwd=stale|detail="stale/;

interface Place {
  readonly host: Host;
  readonly connection: Connection;
  readonly number: number;
  left: number;
}

let connections = 0;

export class Client {
  readonly #id: number;
  readonly #carrier: Carrier;
  readonly #world: ClientWorld;
  readonly #random: Random;
  readonly #places = new Map<Host, Place>();
  readonly #refused = new Refused();
  /** Of clients that ask conditionally. */
  readonly #held: HeldAnswers | undefined;
  #host: Host;
  #token: string | undefined;
  #tokenEndsAtMs = Number.POSITIVE_INFINITY;

  constructor(id: number, carrier: Carrier, world: ClientWorld, random: Random) {
    this.#id = id;
    this.#carrier = carrier;
    this.#world = world;
    this.#random = random;
    this.#held = id % CONDITIONAL_EVERY === 0 ? new HeldAnswers() : undefined;
    this.#host = world.balancer.pick(random, this.#refused, world.clock());
  }

  /** Resolves when the signal has ended it, and its last operation is over. Throws what a profile does wrong. */
  async run(): Promise<void> {
    const { readPace, signal, writes, readers } = this.#world;
    while (!signal.aborted) {
      await readPace.turn();
      if (signal.aborted) break;
      const writer = writes.nextRequest();
      if (writer) await this.#write(writer);
      else await this.#read(this.#random.pickWeighted(readers));
    }
    for (const { connection } of this.#places.values()) connection.close();
  }

  async #read(reader: CompiledReader): Promise<void> {
    const { clock } = this.#world;
    const place = this.#place();
    const held = this.#held?.find(reader);
    const headers = this.#headers(reader.user);
    if (held) headers['if-none-match'] = held.etag;
    const startedAtMs = clock();
    let answer: Answer;
    try {
      answer = await this.#ask(place, writeRequest('GET', reader.url, headers), READ_TIMEOUT_MS);
    } catch (error) {
      if (!(error instanceof ConnectionError)) throw error;
      this.#leave(place);
      if (this.#world.signal.aborted) return;
      const failure = error.code === 'ERR_TORTURE_ANSWER_LATE' ? 'time-out' : 'error';
      await this.#fail(reader, place, startedAtMs, failure, error.message);
      return;
    }
    const understood = this.#understand(reader, answer, held);
    if (understood) this.#judge(reader, place, startedAtMs, answer, understood);
    else {
      const said = answer.body.toString('utf8').slice(0, 200);
      await this.#fail(reader, place, startedAtMs, 'error', `status ${answer.status}`, said);
    }
  }

  /** What the answer shows, or stands for; undefined when it is none. */
  #understand(reader: CompiledReader, { status, head, body }: Answer, held: Held | undefined): Understood | undefined {
    const { checker, clock, traffic } = this.#world;
    if (status === 304 && held) {
      traffic.notModified++;
      const etag = findField(head, 'etag');
      if (etag !== undefined && etag !== held.etag) {
        checker.report('invented', `304 for ${held.etag} with the ETag ${etag}, which nobody asked about`, clock());
      }
      return held.understood;
    }
    if (status !== 200) return undefined;
    const understood = reader.understand(body);
    this.#held?.keep(reader, findField(head, 'etag'), understood);
    return understood;
  }

  #judge(reader: CompiledReader, place: Place, startedAtMs: number, answer: Answer, understood: Understood): void {
    const { clock, traffic, checker } = this.#world;
    const endedAtMs = clock();
    const status = findField(answer.head, 'cache-status') ?? '';
    const { kind, reason } = classify(status);
    traffic.answered(endedAtMs, kind, reason);
    const carried = this.#token;
    // Its route says that it may be older; but not to whom carries what it has seen.
    const isOutdated = STALE.test(status) && carried === undefined;
    const read: Read = {
      client: this.#id,
      connection: place.number,
      host: place.host.name,
      url: reader.url,
      user: reader.user,
      startedAtMs,
      endedAtMs,
      status: answer.status === 304 ? `304; ${status}` : status,
      oneMoment: kind !== 'not cached' && !LEFT.test(status),
      carried,
      given: findField(answer.head, TOKEN_HEADER),
      isCarried: !isOutdated && this.#keep(answer, endedAtMs),
      shown: understood.shown,
      expected: reader.expected,
      owner: understood.owner,
    };
    if (isOutdated) checker.readOutdated(read);
    else this.#world.stalenessOf(startedAtMs).add(this.#world.judge(read));
  }

  /** The request failed: whether it may have is for others to say. */
  async #fail(
    reader: CompiledReader,
    place: Place,
    startedAtMs: number,
    failure: Failure,
    what: string,
    said = '',
  ): Promise<void> {
    const endedAtMs = this.#world.clock();
    this.#world.traffic.failed(endedAtMs, failure, what);
    const sentence = `GET ${reader.url} at ${place.host.name}: ${what}${said && `, ${said}`}`;
    this.#world.onFailure(place.host, startedAtMs, endedAtMs, sentence);
    await this.#pauseAfterFailure(place);
  }

  async #ask({ host, connection }: Place, text: string, timeoutMs: number): Promise<Answer> {
    const { balancer, clock, traffic } = this.#world;
    const startedAtMs = clock();
    balancer.began(host);
    try {
      return await connection.ask(text, timeoutMs);
    } finally {
      balancer.ended(host);
      traffic.waited(clock() - startedAtMs);
    }
  }

  async #write(writer: RequestWriter): Promise<void> {
    const { clock, writes } = this.#world;
    const place = this.#place();
    const begun = writes.begin(writer, this.#id, clock());
    const { method, url, body } = writer.request(begun.versions);
    const text = writeRequest(method, url, this.#headers(writer.user), JSON.stringify(body ?? {}));
    try {
      const answer = await this.#ask(place, text, WRITE_TIMEOUT_MS);
      const endedAtMs = clock();
      if (answer.status >= 200 && answer.status < 300) {
        writes.acknowledge(begun, endedAtMs, this.#keep(answer, endedAtMs) ? this.#id : undefined);
      } else {
        writes.lose(begun, `status ${answer.status}: ${answer.body.toString('utf8').slice(0, 200)}`);
      }
    } catch (error) {
      if (!(error instanceof ConnectionError)) throw error;
      this.#leave(place);
      writes.lose(begun, error.message);
      await this.#pauseAfterFailure(place);
    }
  }

  #headers(user: string | undefined): Record<string, string> {
    const headers: Record<string, string> = { ...this.#world.proof(user) };
    if (this.#token === undefined) return headers;
    if (this.#carrier === 'header') headers[TOKEN_HEADER] = this.#token;
    else headers.cookie = `${TOKEN_HEADER}=${this.#token}`;
    return headers;
  }

  /** Keeps what the answer gives to carry; whether the client now carries what stands for the answer. */
  #keep({ head }: Answer, atMs: number): boolean {
    if (this.#carrier === 'nothing') return true;
    const header = findField(head, TOKEN_HEADER);
    if (this.#carrier === 'header') {
      if (header !== undefined) this.#token = header;
      return header !== undefined;
    }
    const cookie = TOKEN_COOKIE.exec(head);
    if (cookie) {
      this.#token = cookie[1];
      this.#tokenEndsAtMs = atMs + Number(cookie[2]) * 1_000;
    }
    // A browser that carries none yet is given none by a read: its connection is all that it has.
    return this.#token === undefined || header !== undefined;
  }

  #place(): Place {
    const { balancer, checker, clock } = this.#world;
    if (this.#token !== undefined && clock() > this.#tokenEndsAtMs) {
      this.#token = undefined;
      checker.forget(this.#id);
      for (const place of [...this.#places.values()]) this.#leave(place);
    }
    const canMove = this.#token !== undefined;
    const isBehind = canMove && balancer.isBehind(this.#host, this.#refused, clock());
    if (canMove && (this.#random.next() < SWITCH_CHANCE || isBehind)) this.#move();
    let place = this.#places.get(this.#host);
    if (place && (place.connection.isClosed || place.left <= 0)) {
      this.#leave(place);
      place = undefined;
    }
    if (place) {
      place.left--;
      return place;
    }
    if (!canMove) {
      // Nothing stands for what it has seen but the connection that is gone.
      checker.forget(this.#id);
      for (const other of [...this.#places.values()]) this.#leave(other);
      this.#move();
    }
    const opened: Place = {
      host: this.#host,
      connection: new Connection(this.#host.port),
      number: ++connections,
      left: REQUESTS_MIN + this.#random.integer(REQUESTS_MAX - REQUESTS_MIN),
    };
    this.#places.set(this.#host, opened);
    return opened;
  }

  #leave(place: Place): void {
    place.connection.close();
    if (this.#places.get(place.host) === place) this.#places.delete(place.host);
  }

  #move(): void {
    const { balancer, clock } = this.#world;
    this.#host = balancer.pick(this.#random, this.#refused, clock());
  }

  /** Not at once, and not at this host for a while. */
  async #pauseAfterFailure({ host }: Place): Promise<void> {
    this.#refused.add(host, this.#random, this.#world.clock());
    if (this.#token !== undefined) this.#move();
    await new Promise((resolve) => setTimeout(resolve, REFUSED_PAUSE_MS));
  }
}

function classify(status: string): { readonly kind: AnswerKind; readonly reason: string | undefined } {
  if (status.startsWith('vazao; hit')) return { kind: 'hit', reason: undefined };
  if (status.endsWith('; stored')) return { kind: 'stored', reason: undefined };
  if (status.endsWith('; collapsed')) return { kind: 'collapsed', reason: undefined };
  const reason = /not stored: ([^"]+)"/.exec(status)?.[1];
  if (reason !== undefined) return { kind: 'not stored', reason };
  return { kind: 'not cached', reason: /detail="([^"]+)"/.exec(status)?.[1] ?? (status || 'no Cache-Status') };
}
