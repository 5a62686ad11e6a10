/**
 * A closed-loop HTTP/1.1 generator on raw sockets that reads and writes, and knows for each item the version that was last
 * acknowledged: an answer that shows less than what had been acknowledged when its request was sent is stale.
 */
import { connect, type Socket } from 'node:net';

export interface Load {
  readonly port: number;
  readonly connections: number;
  readonly durationMs: number;
  /** The item of the next request. */
  readonly pick: () => number;
  /** Share of requests that write, through the application. */
  readonly writes?: number;
  /** From 0 to 1: whether the next request writes. */
  readonly random: () => number;
  /** Version of each item that some writer has been told is committed. Kept here for writes through the application. */
  readonly acknowledged: Map<number, number>;
}

export interface Driven {
  readonly perS: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly reads: number;
  readonly staleReads: number;
  readonly errors: number;
  /** Share of the time in which this process had something to do: near 1, it was no faster than the server. */
  readonly busy: number;
}

export async function drive(load: Load): Promise<Driven> {
  const latencies: number[] = [];
  const seen = { reads: 0, staleReads: 0, errors: 0 };
  const busyBefore = performance.eventLoopUtilization();
  const startedAt = performance.now();
  const endsAt = startedAt + load.durationMs;
  await Promise.all(Array.from({ length: load.connections }, () => driveOne(load, endsAt, latencies, seen)));
  const endedAt = performance.now();
  const busy = performance.eventLoopUtilization(busyBefore).utilization;
  latencies.sort((a, b) => a - b);
  const at = (q: number): number => latencies[Math.floor(latencies.length * q)] ?? Number.NaN;
  return {
    ...seen,
    busy,
    perS: (latencies.length * 1_000) / (endedAt - startedAt),
    p50Ms: at(0.5),
    p99Ms: at(0.99),
  };
}

type Seen = { reads: number; staleReads: number; errors: number };

function driveOne(load: Load, endsAt: number, latencies: number[], seen: Seen): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket: Socket = connect(load.port, '127.0.0.1');
    socket.setNoDelay(true);
    let sentAt = 0;
    let id = 0;
    let writes = false;
    let floor = 0;
    let text = '';
    const send = (): void => {
      text = '';
      id = load.pick();
      writes = load.writes !== undefined && load.random() < load.writes;
      floor = load.acknowledged.get(id) ?? 0;
      sentAt = performance.now();
      socket.write(
        `${writes ? 'PUT' : 'GET'} /items/${id} HTTP/1.1\r\nhost: 127.0.0.1\r\n${writes ? 'content-length: 0\r\n' : ''}\r\n`,
      );
    };
    socket.on('connect', send);
    socket.on('error', reject);
    socket.on('data', (chunk: Buffer) => {
      text += chunk.toString('latin1');
      if (!isWhole(text)) return;
      const now = performance.now();
      latencies.push(now - sentAt);
      const version = Number(/"version":(\d+)/.exec(text)?.[1] ?? Number.NaN);
      if (!text.startsWith('HTTP/1.1 200') || Number.isNaN(version)) seen.errors++;
      else if (writes) load.acknowledged.set(id, Math.max(load.acknowledged.get(id) ?? 0, version));
      else {
        seen.reads++;
        if (version < floor) seen.staleReads++;
      }
      if (now < endsAt) send();
      else socket.end(resolve);
    });
  });
}

function isWhole(text: string): boolean {
  const end = text.indexOf('\r\n\r\n');
  if (end < 0) return false;
  const head = text.slice(0, end).toLowerCase();
  const length = /\ncontent-length: (\d+)/.exec(head)?.[1];
  if (length !== undefined) return text.length >= end + 4 + Number(length);
  return (
    !head.includes('\ntransfer-encoding: chunked') ||
    text.endsWith('\r\n0\r\n\r\n') ||
    text.slice(end + 4) === '0\r\n\r\n'
  );
}
