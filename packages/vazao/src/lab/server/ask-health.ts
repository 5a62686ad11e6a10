/** What a server says of itself at `/health`: a word, and where it is Vazão its workers and their caches. */
import { get } from 'node:http';
import type { CacheSample } from '../run-result.ts';

const TIMEOUT_MS = 900;
const BYTES_MAX = 64 * 1024;

export interface Health {
  /** `ok`, `degraded`, `unavailable`; `unreachable` without an answer. */
  readonly status: string;
  readonly workers?: number | undefined;
  /** Of the process that answered. */
  readonly pid?: number | undefined;
  readonly cache?: CacheSample | undefined;
}

/** `none` if the server has no such page. */
export function askHealth(url: string): Promise<Health | 'none'> {
  return new Promise((resolve) => {
    // A connection of its own each time: of several workers not always the same one answers.
    const request = get(url, { agent: false, timeout: TIMEOUT_MS, headers: { connection: 'close' } }, (answer) => {
      let text = '';
      answer.setEncoding('utf8');
      answer.on('data', (chunk: string) => {
        text += chunk;
        if (text.length > BYTES_MAX) request.destroy();
      });
      answer.on('close', () => resolve(parseHealth(text) ?? 'none'));
    });
    request.on('timeout', () => request.destroy());
    request.on('error', () => resolve({ status: 'unreachable' }));
  });
}

/** Undefined for anything without a status in words; of the rest, what has another shape is left out. */
export function parseHealth(text: string): Health | undefined {
  let read: unknown;
  try {
    read = JSON.parse(text);
  } catch {
    return undefined;
  }
  const { status, workers, cache } = asRecord(read);
  if (typeof status !== 'string') return undefined;
  const [alive, pid] = [asCount(asRecord(workers).alive), asCount(asRecord(workers).pid)];
  const told = asRecord(cache);
  const [entries, bytes, bytesMax, evicted] = [told.entries, told.size_bytes, told.size_max_bytes, told.evicted].map(
    asCount,
  );
  return {
    status,
    ...(alive !== undefined && { workers: alive }),
    ...(pid !== undefined && { pid }),
    ...(entries !== undefined &&
      bytes !== undefined &&
      bytesMax !== undefined &&
      evicted !== undefined && { cache: { entries, bytes, bytesMax, evicted } }),
  };
}

function asRecord(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {};
}

function asCount(value: unknown): number | undefined {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0 ? value : undefined;
}
