/** The Redis of `VAZAO_STATE_REDIS_URL`, which has what must not be evicted: sessions, and the counts of the limits. */
import type { Redis } from 'ioredis';
import { loadPeer } from '../peer/index.ts';

/** A connection that was asked, and has said nothing for so long, is given up: TCP would believe in it for a quarter of an hour. */
export const STATE_SILENCE_MS = 1_000;
const CONNECT_MS = 2_000;

/**
 * A client that is not connected yet, and connects again by itself. Nothing waits while it is not there: each call fails, and tells.
 *
 * @param purpose - what the package is missed for, if it is not installed
 */
export async function createStateRedis(url: string, purpose: string, acquired: AsyncDisposableStack): Promise<Redis> {
  const { Redis } = await loadPeer<typeof import('ioredis')>('ioredis', purpose);
  const client = new Redis(url, {
    lazyConnect: true,
    enableOfflineQueue: false,
    maxRetriesPerRequest: 0,
    disableClientInfo: true, // it takes a right, and tells nothing
    connectTimeout: CONNECT_MS,
    commandTimeout: STATE_SILENCE_MS,
    socketTimeout: STATE_SILENCE_MS,
    retryStrategy: (attempt: number) => Math.min(50 * 2 ** attempt, 1_000),
  });
  client.on('error', () => {}); // who needs it is told by the call that fails
  acquired.defer(() => client.disconnect());
  return client;
}
