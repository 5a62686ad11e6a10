/** One step of one user: its request made, sent, redirected, judged and recorded. */
import { LabError } from '../errors.ts';
import type { ErrorKind } from '../run-result.ts';
import type { HttpRequest, Scenario } from '../scenario/scenario.ts';
import { judgeAnswer, readsBody } from './answer.ts';
import type { Connection, WireRequest } from './connection.ts';
import type { Recorder } from './recorder.ts';
import type { ResponseHead } from './response-parser.ts';
import type { IndexedStep, VirtualUser } from './users.ts';
import { encodeRequest } from './wire.ts';

export interface ExchangeOptions {
  readonly scenario: Scenario;
  readonly authority: string;
  readonly redirectsMax: number;
  readonly recorder: Recorder;
}

/** What becomes of it: an error, or none; and the connection, which may be closed. */
export type OnExchanged = (error: ErrorKind | undefined, connection: Connection) => void;

export class Exchanger {
  readonly #options: ExchangeOptions;
  /** Requests that are the same each time, as bytes. */
  readonly #fixed: (WireRequest | undefined)[] = [];
  readonly #fixedHeaders: boolean;

  constructor(options: ExchangeOptions) {
    this.#options = options;
    this.#fixedHeaders = typeof options.scenario.headers !== 'function';
  }

  /**
   * Sends, and calls back when the answer has been recorded. The connection is open and free.
   * @param scheduledAt - from when the latency counts; undefined: from the send
   */
  start(
    { step, index }: IndexedStep,
    user: VirtualUser,
    phase: number,
    scheduledAt: number | undefined,
    connection: Connection,
    onExchanged: OnExchanged,
  ): void {
    const { recorder, redirectsMax } = this.#options;
    const request = typeof step.request === 'function' ? step.request({ user, random: user.random }) : step.request;
    let sentAt = 0;
    let firstByteAt = 0;
    let bytes = 0;
    let path = request.path;
    let redirects = 0;
    const onAnswered = (from: Connection, failure: ErrorKind | undefined): void => {
      const endedAt = performance.now();
      if (firstByteAt === 0) firstByteAt = from.firstByteAt;
      bytes += from.parser.bytes;
      const head = failure === undefined ? from.parser.head : undefined;
      if (head) {
        const set = head.fields.get('set-cookie');
        if (set !== undefined) user.cookies.store(set, path);
        const location = redirects < redirectsMax && from.isOpen ? this.#findLocation(head, path) : undefined;
        if (location !== undefined) {
          redirects += 1;
          path = location;
          const keepsMethod = head.status === 307 || head.status === 308;
          const again: HttpRequest = keepsMethod
            ? { ...request, path }
            : { path, headers: request.headers, method: request.method === 'HEAD' ? 'HEAD' : 'GET' };
          from.send(this.#encode(again, user, readsBody(step)), onAnswered);
          return;
        }
      }
      const error = head ? judgeAnswer(step, head, () => from.parser.body, user) : failure;
      const started = scheduledAt ?? sentAt;
      recorder.answered({ step: index, phase, scheduledAt: started, sentAt, firstByteAt, endedAt, error, head, bytes });
      onExchanged(error, from);
    };
    const wire = this.#wire(index, step, request, user);
    recorder.sent(phase, index);
    connection.send(wire, onAnswered);
    sentAt = connection.sentAt;
  }

  #wire(index: number, step: IndexedStep['step'], request: HttpRequest, user: VirtualUser): WireRequest {
    const cookie = user.cookies.select(request.path);
    if (typeof step.request === 'function' || !this.#fixedHeaders || cookie !== '') {
      return this.#encode(request, user, readsBody(step), cookie);
    }
    let wire = this.#fixed[index];
    if (!wire) {
      wire = this.#encode(request, user, readsBody(step), cookie);
      this.#fixed[index] = wire;
    }
    return wire;
  }

  #encode(
    request: HttpRequest,
    user: VirtualUser,
    keepsBody: boolean,
    cookie: string = user.cookies.select(request.path),
  ): WireRequest {
    const { scenario, authority } = this.#options;
    const common = typeof scenario.headers === 'function' ? scenario.headers(user) : scenario.headers;
    return encodeRequest(request, { authority, keepsBody, cookie, headers: [common] });
  }

  /** The path of a redirect to the same server. */
  #findLocation({ status, fields }: ResponseHead, path: string): string | undefined {
    const location = fields.get('location');
    if (![301, 302, 303, 307, 308].includes(status) || typeof location !== 'string') return undefined;
    const base = `http://${this.#options.authority}`;
    const url = URL.parse(location, base + path);
    return url !== null && url.origin === new URL(base).origin ? url.pathname + url.search : undefined;
  }
}

/** What a function of the scenario throws ends the run: its figures would be of another scenario. */
export function describeScenarioFailure(error: unknown, stepName: string): LabError {
  if (error instanceof LabError) return error;
  return new LabError('ERR_LAB_SCENARIO', `${stepName} makes no request: ${(error as Error)?.message ?? error}`, {
    cause: error,
  });
}
