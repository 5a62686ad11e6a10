/**
 * A client: one operation at a time, on connections that it opens, keeps and gives up, carrying what a token tells, or
 * nothing. It reads, and sometimes it writes through the application.
 */

import type { Checker } from './checker.ts';
import type { CompiledReader } from './compiled-reader.ts';
import { type Answer, Connection, ConnectionError, findField, writeRequest } from './connection.ts';
import type { Read } from './history.ts';
import type { Host } from './host.ts';
import type { Pace } from './pace.ts';
import type { RequestWriter } from './profile.ts';
import type { Random } from './random.ts';
import type { AnswerKind, Staleness, Traffic } from './traffic.ts';
import type { WriteBook } from './write-book.ts';

/** What goes from one request to the next: the header of the last answer, the cookie as a browser keeps it, or nothing. */
export type Carrier = 'header' | 'cookie' | 'nothing';

export interface ClientWorld {
  readonly clock: () => number;
  readonly checker: Pick<Checker, 'forget'>;
  /** Judges a read; returns how stale it was, in milliseconds. */
  readonly judge: (read: Read) => number;
  readonly traffic: Traffic;
  readonly hosts: readonly Host[];
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
  #host: Host;
  #token: string | undefined;
  #tokenEndsAtMs = Number.POSITIVE_INFINITY;

  constructor(id: number, carrier: Carrier, world: ClientWorld, random: Random) {
    this.#id = id;
    this.#carrier = carrier;
    this.#world = world;
    this.#random = random;
    this.#host = random.pick(world.hosts);
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
    const { clock, traffic } = this.#world;
    const place = this.#place();
    const text = writeRequest('GET', reader.url, this.#headers(reader.user));
    const startedAtMs = clock();
    let answer: Answer;
    try {
      answer = await place.connection.ask(text, READ_TIMEOUT_MS);
    } catch (error) {
      if (!(error instanceof ConnectionError)) throw error;
      const endedAtMs = clock();
      this.#leave(place);
      if (this.#world.signal.aborted) return;
      traffic.failed(endedAtMs, error.code === 'ERR_TORTURE_ANSWER_LATE' ? 'time-out' : 'error', error.message);
      this.#world.onFailure(
        place.host,
        startedAtMs,
        endedAtMs,
        `GET ${reader.url} at ${place.host.name}: ${error.message}`,
      );
      await this.#pauseAfterFailure();
      return;
    }
    const endedAtMs = clock();
    if (answer.status !== 200) {
      const what = `status ${answer.status}`;
      traffic.failed(endedAtMs, 'error', what);
      const said = answer.body.toString('utf8').slice(0, 200);
      this.#world.onFailure(
        place.host,
        startedAtMs,
        endedAtMs,
        `GET ${reader.url} at ${place.host.name}: ${what}, ${said}`,
      );
      await this.#pauseAfterFailure();
      return;
    }
    const status = findField(answer.head, 'cache-status') ?? '';
    const { kind, reason } = classify(status);
    traffic.answered(endedAtMs, kind, reason);
    const { shown, owner } = reader.understand(answer.body);
    const carried = this.#token;
    // Its route says that it may be older; but not to whom carries what it has seen.
    if (STALE.test(status) && carried === undefined) return;
    const isCarried = this.#keep(answer, endedAtMs);
    const stalenessMs = this.#world.judge({
      client: this.#id,
      connection: place.number,
      host: place.host.name,
      url: reader.url,
      user: reader.user,
      startedAtMs,
      endedAtMs,
      status,
      oneMoment: kind !== 'not cached' && !LEFT.test(status),
      carried,
      given: findField(answer.head, TOKEN_HEADER),
      isCarried,
      shown,
      expected: reader.expected,
      owner,
    });
    this.#world.stalenessOf(startedAtMs).add(stalenessMs);
  }

  async #write(writer: RequestWriter): Promise<void> {
    const { clock, writes } = this.#world;
    const place = this.#place();
    const begun = writes.begin(writer, this.#id, clock());
    const { method, url, body } = writer.request(begun.versions);
    const text = writeRequest(method, url, this.#headers(writer.user), JSON.stringify(body ?? {}));
    try {
      const answer = await place.connection.ask(text, WRITE_TIMEOUT_MS);
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
      await this.#pauseAfterFailure();
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
    const { hosts, checker, clock } = this.#world;
    if (this.#token !== undefined && clock() > this.#tokenEndsAtMs) {
      this.#token = undefined;
      checker.forget(this.#id);
      for (const place of [...this.#places.values()]) this.#leave(place);
    }
    const canMove = this.#token !== undefined;
    if (canMove && this.#random.next() < SWITCH_CHANCE) this.#host = this.#random.pick(hosts);
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
      this.#host = this.#random.pick(hosts);
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

  /** As a balancer does: not at once, and rather at another host. */
  async #pauseAfterFailure(): Promise<void> {
    if (this.#token !== undefined) this.#host = this.#random.pick(this.#world.hosts);
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
