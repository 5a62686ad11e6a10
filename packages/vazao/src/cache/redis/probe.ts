/** What a Redis says of itself, for people. */
import { setTimeout as delay } from 'node:timers/promises';
import { openConnection } from './connection.ts';

export interface RedisFacts {
  readonly product: 'Redis' | 'Valkey';
  readonly version: string;
  /** That of Redis' commands, which Valkey names beside its own. */
  readonly majorVersion: number;
  readonly isReplica: boolean;
  /** 0: no bound. */
  readonly memoryMaxBytes: number;
  readonly evictionPolicy: string;
}

/** The first major version with functions, which the second tier is made of. */
export const REDIS_MAJOR_MIN = 7;
const READY_POLL_MS = 10;

/** Throws what the connection says, `RedisTierError` for an address that is none, or a `PeerError`. */
export async function probeRedis(url: string, timeoutMs: number): Promise<RedisFacts> {
  let problem: Error | undefined;
  const onProblem = (error: Error): void => {
    problem = error;
  };
  const connection = await openConnection({ url, callTimeoutMs: timeoutMs, onProblem });
  try {
    const deadlineMs = performance.now() + timeoutMs;
    while (!connection.isReady) {
      if (performance.now() > deadlineMs) throw problem ?? new Error(`no answer within ${timeoutMs} ms`);
      await delay(READY_POLL_MS);
    }
    return parseInfo(await connection.info());
  } finally {
    connection.close();
  }
}

export function parseInfo(text: string): RedisFacts {
  const facts = new Map(text.split(/\r?\n/).map((line) => line.split(/:(.*)/, 2) as [string, string]));
  const read = (name: string): string => facts.get(name) ?? '';
  const isValkey = read('server_name') === 'valkey';
  return {
    product: isValkey ? 'Valkey' : 'Redis',
    version: read(isValkey ? 'valkey_version' : 'redis_version'),
    majorVersion: Number.parseInt(read('redis_version'), 10) || 0,
    isReplica: read('role') === 'slave',
    memoryMaxBytes: Number(read('maxmemory')),
    evictionPolicy: read('maxmemory_policy'),
  };
}
