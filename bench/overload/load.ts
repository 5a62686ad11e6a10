/**
 * An open-loop generator on raw sockets: requests are sent when they are due, whether or not earlier ones were answered, and
 * latency counts from when they were due. With closed loops a slow server would slow its own load down.
 */
import { connect, type Socket } from 'node:net';

export interface OverloadOptions {
  readonly port: number;
  /** Arrivals a second, of first attempts. */
  readonly rate: number;
  readonly seconds: number;
  readonly connectionsMax: number;
  /** Undefined: who is refused stays away. */
  readonly retry?: 'after what the answer says' | 'at once' | undefined;
  /** A client gives up after this time. */
  readonly patienceMs: number;
}

/** Hits apart: they need none of what is short, and would be answered at any load. */
export interface Second {
  /** Of what has to be computed. */
  offered: number;
  /** Computed. */
  good: number;
  hits: number;
  refused: number;
  failed: number;
  readonly goodMs: number[];
}

export interface OverloadResult {
  readonly seconds: readonly Second[];
  /** From when they were due. */
  readonly goodMs: readonly number[];
  /** From when they were sent, or their connection was begun: the generator's own delay is not the server's. */
  readonly refusedMs: readonly number[];
  /** Refusals without `Retry-After`. */
  readonly withoutRetryAfter: number;
  /** How late the generator itself was, at most, in ms: more than some ms, and the figures are of no use. */
  readonly behindMs: number;
}

const RETRIES_MAX = 3;

interface Sending {
  readonly dueAt: number;
  /** The same when it is tried again. */
  readonly request: Request;
  sentAt: number;
  readonly attempt: number;
}

interface Request {
  readonly text: string;
  readonly isHit: boolean;
}

export function overload(options: OverloadOptions): Promise<OverloadResult> {
  return new Overload(options).run();
}

class Overload {
  readonly #options: OverloadOptions;
  readonly #idle: Socket[] = [];
  readonly #seconds: Second[] = [];
  readonly #goodMs: number[] = [];
  readonly #refusedMs: number[] = [];
  readonly #again: Sending[] = [];
  #open = 0;
  /** Sent, and neither answered nor given up. */
  #pending = 0;
  #withoutRetryAfter = 0;
  #behindMs = 0;
  #startedAt = 0;
  #count = 0;

  constructor(options: OverloadOptions) {
    this.#options = options;
  }

  async run(): Promise<OverloadResult> {
    const { rate, seconds, patienceMs } = this.#options;
    this.#startedAt = performance.now();
    let sent = 0;
    await new Promise<void>((resolve) => {
      const tick = setInterval(() => {
        const now = performance.now();
        const elapsedS = Math.min(seconds, (now - this.#startedAt) / 1_000);
        for (const dueMs = (): number => this.#startedAt + (sent / rate) * 1_000; sent < elapsedS * rate; sent++) {
          this.#behindMs = Math.max(this.#behindMs, now - dueMs());
          this.#send({ dueAt: dueMs(), request: this.#next(), sentAt: 0, attempt: 0 });
        }
        for (let i = this.#again.length - 1; i >= 0; i--) {
          const one = this.#again[i] as Sending;
          if (one.dueAt > now) continue;
          this.#again.splice(i, 1);
          this.#send(one);
        }
        const overMs = now - this.#startedAt - seconds * 1_000;
        if (overMs < 0 || (overMs < patienceMs && this.#pending + this.#again.length > 0)) return;
        clearInterval(tick);
        resolve();
      }, 1);
    });
    for (const socket of this.#idle) socket.destroy();
    return {
      seconds: this.#seconds.slice(0, seconds),
      goodMs: this.#goodMs.toSorted((a, b) => a - b),
      refusedMs: this.#refusedMs.toSorted((a, b) => a - b),
      withoutRetryAfter: this.#withoutRetryAfter,
      behindMs: this.#behindMs,
    };
  }

  #secondOf(at: number): Second {
    const index = Math.floor((at - this.#startedAt) / 1_000);
    for (let i = this.#seconds.length; i <= index; i++)
      this.#seconds.push({ offered: 0, good: 0, hits: 0, refused: 0, failed: 0, goodMs: [] });
    return this.#seconds[index] as Second;
  }

  #send(sending: Sending): void {
    if (!sending.request.isHit) this.#secondOf(sending.dueAt).offered++;
    this.#pending++;
    sending.sentAt = performance.now();
    const socket = this.#idle.pop();
    if (socket) {
      this.#exchange(socket, sending);
      return;
    }
    if (this.#open >= this.#options.connectionsMax) {
      this.#fail();
      return;
    }
    this.#open++;
    // A connection that can't be had in time is a failure, too.
    const late = setTimeout(() => fresh.destroy(), this.#options.patienceMs);
    const fresh = connect(this.#options.port, '127.0.0.1');
    fresh.setNoDelay(true);
    fresh.on('error', () => {});
    let isConnected = false;
    fresh.once('connect', () => {
      isConnected = true;
      clearTimeout(late);
      this.#exchange(fresh, sending);
    });
    fresh.once('close', () => {
      if (!isConnected) this.#fail();
      clearTimeout(late);
      this.#open--;
      const at = this.#idle.indexOf(fresh);
      if (at >= 0) this.#idle.splice(at, 1);
    });
  }

  #fail(): void {
    this.#pending--;
    this.#secondOf(performance.now()).failed++;
  }

  #exchange(socket: Socket, sending: Sending): void {
    let text = '';
    const end = (outcome: 'good' | 'refused' | 'failed', retryAfterS?: number): void => {
      clearTimeout(late);
      socket.removeAllListeners('data');
      socket.removeListener('close', onClose);
      const now = performance.now();
      const latencyMs = now - sending.dueAt;
      const second = this.#secondOf(now);
      this.#pending--;
      second[outcome === 'good' && sending.request.isHit ? 'hits' : outcome]++;
      if (outcome === 'good' && !sending.request.isHit) {
        this.#goodMs.push(latencyMs);
        second.goodMs.push(latencyMs);
      }
      if (outcome === 'refused') {
        this.#refusedMs.push(now - sending.sentAt);
        if (retryAfterS === undefined) this.#withoutRetryAfter++;
      }
      if (outcome === 'failed') socket.destroy();
      else this.#idle.push(socket);
      const { retry } = this.#options;
      if (outcome === 'good' || retry === undefined || sending.attempt >= RETRIES_MAX) return;
      const pauseMs = retry === 'at once' ? 0 : (retryAfterS ?? 1) * 1_000;
      this.#again.push({
        dueAt: now + pauseMs,
        request: sending.request,
        sentAt: 0,
        attempt: sending.attempt + 1,
      });
    };
    const onClose = (): void => end('failed');
    const late = setTimeout(() => end('failed'), this.#options.patienceMs);
    socket.once('close', onClose);
    socket.on('data', (chunk: Buffer) => {
      text += chunk.toString('latin1');
      const head = text.indexOf('\r\n\r\n');
      if (head < 0) return;
      const length = /content-length: (\d+)/i.exec(text);
      if (text.length < head + 4 + Number(length?.[1] ?? 0)) return;
      const status = Number(text.slice(9, 12));
      const retryAfter = /retry-after: (\d+)/i.exec(text.slice(0, head))?.[1];
      if (status === 503) end('refused', retryAfter === undefined ? undefined : Number(retryAfter));
      else end(status === 200 ? 'good' : 'failed');
    });
    socket.write(sending.request.text);
  }

  /** Seven of ten are aggregates of one campaign, two are lists, one is a write. */
  #next(): Request {
    const n = this.#count++;
    const id = 1 + ((n * 7_919) % 500);
    if (n % 10 === 9) {
      return {
        text: `POST /doacoes?campanha=${id} HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n`,
        isHit: false,
      };
    }
    const isHit = n % 10 >= 7;
    return { text: `GET ${isHit ? '/lista' : `/resumo/${id}`} HTTP/1.1\r\nHost: a\r\n\r\n`, isHit };
  }
}
