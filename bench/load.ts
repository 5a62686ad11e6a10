/**
 * A small closed-loop HTTP/1.1 generator on raw sockets: each connection sends its next request when the last answer is
 * complete. It reads no more of an answer than it takes to find its end, so that one core can drive one server core.
 */
import { connect, type Socket } from 'node:net';

export interface LoadResult {
  readonly requests: number;
  readonly seconds: number;
  readonly perSecond: number;
  /** Milliseconds. */
  readonly p50: number;
  readonly p99: number;
}

export interface LoadOptions {
  readonly port: number;
  readonly path: string;
  readonly connections: number;
  readonly durationMs: number;
  readonly headers?: Readonly<Record<string, string>> | undefined;
}

export async function load(options: LoadOptions): Promise<LoadResult> {
  const fields = Object.entries(options.headers ?? {}).map(([name, value]) => `${name}: ${value}\r\n`);
  const request = Buffer.from(`GET ${options.path} HTTP/1.1\r\nHost: 127.0.0.1\r\n${fields.join('')}\r\n`);
  const latencies: number[] = [];
  const startedAt = performance.now();
  const endsAt = startedAt + options.durationMs;
  await Promise.all(Array.from({ length: options.connections }, () => drive(options.port, request, endsAt, latencies)));
  const seconds = (performance.now() - startedAt) / 1_000;
  latencies.sort((a, b) => a - b);
  return {
    requests: latencies.length,
    seconds,
    perSecond: latencies.length / seconds,
    p50: quantile(latencies, 0.5),
    p99: quantile(latencies, 0.99),
  };
}

function drive(port: number, request: Buffer, endsAt: number, latencies: number[]): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket: Socket = connect(port, '127.0.0.1');
    socket.setNoDelay(true);
    let sentAt = 0;
    /** Bytes of the answer that are still to come; undefined while its head is not complete. */
    let missing: number | undefined;
    let head = '';
    const send = (): void => {
      missing = undefined;
      head = '';
      sentAt = performance.now();
      socket.write(request);
    };
    socket.on('connect', send);
    socket.on('error', reject);
    socket.on('data', (chunk: Buffer) => {
      if (missing === undefined) {
        head += chunk.toString('latin1');
        const end = head.indexOf('\r\n\r\n');
        if (end < 0) return;
        if (!/^HTTP\/1\.1 (200|304)/.test(head)) {
          reject(new Error(head.slice(0, 200)));
          socket.destroy();
          return;
        }
        const length = /content-length: (\d+)/i.exec(head);
        missing = (length ? Number(length[1]) : 0) - (head.length - end - 4);
      } else {
        missing -= chunk.length;
      }
      if (missing > 0) return;
      const now = performance.now();
      latencies.push(now - sentAt);
      if (now < endsAt) send();
      else socket.end(resolve);
    });
  });
}

export function quantile(sorted: readonly number[], q: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * q))] ?? Number.NaN;
}

export function median(values: readonly number[]): number {
  return quantile(
    [...values].sort((a, b) => a - b),
    0.5,
  );
}
