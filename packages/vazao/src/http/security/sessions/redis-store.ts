/**
 * Sessions in a Redis that evicts nothing (`maxmemory-policy noeviction`): not the one that holds cached answers, which
 * throws away what is least used. The end of a session is the end of its key; what it may last at most stands in its value.
 */
import type { Identity } from '../../options.ts';
import { SecurityError } from '../errors.ts';
import {
  handleOf,
  LISTED_MAX,
  type ListedSession,
  type SessionData,
  type SessionLifetimes,
  type SessionStore,
} from './store.ts';

/** The part of a client of `ioredis` that is used. Give it no offline queue and a time-out for commands; the caller closes it. */
export interface RedisCommands {
  call(command: string, ...args: (string | number)[]): Promise<unknown>;
}

export interface RedisSessionStoreOptions extends SessionLifetimes {
  readonly client: RedisCommands;
  /** @defaultValue `vazao:session:` */
  readonly prefix?: string | undefined;
}

interface Value {
  readonly user?: Identity;
  readonly data: SessionData;
  /** Milliseconds since 1970. */
  readonly until: number;
}

/** Throws {@link SecurityError} when the Redis evicts: it would log users out at random. */
export async function createRedisSessionStore(options: RedisSessionStoreOptions): Promise<SessionStore> {
  const { client, idleS, absoluteS, prefix = 'vazao:session:' } = options;
  const policy = /maxmemory_policy:(\S+)/.exec(String(await client.call('INFO', 'memory')))?.[1];
  if (policy !== undefined && policy !== 'noeviction') {
    throw new SecurityError(
      'ERR_SECURITY_OPTIONS',
      `The Redis for sessions has the policy ${policy}, which would end sessions at random. Use one of its own with \`maxmemory-policy noeviction\`.`,
    );
  }
  const idleMs = Math.round(idleS * 1_000);
  const keyOf = (hash: Buffer): string => prefix + handleOf(hash);
  const listOf = (userId: string): string => `${prefix}of:${userId}`;
  const lifeMs = (until: number): number => Math.min(idleMs, until - Date.now());
  const remove = async (key: string): Promise<void> => {
    const text = (await client.call('GETDEL', key)) as string | null;
    const user = text === null ? undefined : (JSON.parse(text) as Value).user;
    if (user) await client.call('ZREM', listOf(user.id), key);
  };
  return {
    async find(hash) {
      const text = (await client.call('GETEX', keyOf(hash), 'PX', idleMs)) as string | null;
      if (text === null) return undefined;
      const { user, data, until } = JSON.parse(text) as Value;
      const now = Date.now();
      if (until > now) return { user, data, endsAt: Math.min(until, now + idleMs) };
      await remove(keyOf(hash));
      return undefined;
    },
    async replace(old, hash, { user, data }) {
      const until = Date.now() + Math.round(absoluteS * 1_000);
      if (user) {
        // Before the session itself: whatever fails between, a session that is there is found by its user.
        await client.call('ZADD', listOf(user.id), until, keyOf(hash));
        await client.call('ZREMRANGEBYSCORE', listOf(user.id), '-inf', Date.now());
        await client.call('PEXPIRE', listOf(user.id), Math.round(absoluteS * 1_000));
      }
      const value = JSON.stringify({ user, data, until } satisfies Value | { user: undefined });
      await client.call('SET', keyOf(hash), value, 'PX', lifeMs(until));
      if (old) await remove(keyOf(old));
      return { endsAt: Math.min(until, Date.now() + idleMs) };
    },
    async write(hash, data) {
      const text = (await client.call('GET', keyOf(hash))) as string | null;
      if (text === null) return false;
      const before = JSON.parse(text) as Value;
      const life = lifeMs(before.until);
      // Only where it still is: a log-out meanwhile stays one.
      return (
        life > 0 &&
        (await client.call('SET', keyOf(hash), JSON.stringify({ ...before, data }), 'XX', 'PX', life)) === 'OK'
      );
    },
    remove: (hash) => remove(keyOf(hash)),
    async list(userId) {
      const now = Date.now();
      const listed: ListedSession[] = [];
      // By when they end at most, which is the order in which they began.
      for (const key of (await client.call('ZREVRANGE', listOf(userId), 0, LISTED_MAX - 1)) as string[]) {
        const text = (await client.call('GET', key)) as string | null;
        const life = Number(await client.call('PTTL', key));
        if (text === null || life <= 0) continue;
        const { data, until } = JSON.parse(text) as Value;
        if (until <= now) continue;
        const startedAt = until - Math.round(absoluteS * 1_000);
        const seenAt = Math.min(now, Math.max(startedAt, now + life - idleMs));
        listed.push({ handle: key.slice(prefix.length), data, startedAt, seenAt, endsAt: Math.min(until, now + life) });
      }
      return listed;
    },
    async removeAll(userId) {
      const keys = (await client.call('ZRANGE', listOf(userId), 0, -1)) as string[];
      for (const key of keys) await client.call('DEL', key);
      if (keys.length > 0) await client.call('ZREM', listOf(userId), ...keys);
    },
    close() {},
  };
}
