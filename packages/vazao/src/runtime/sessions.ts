/** The sessions of a process that serves: in the application's own database, or in the Redis for what must not be evicted. */
import type { Pool } from '../db/index.ts';
import {
  createPostgresSessionStore,
  createRedisSessionStore,
  type SessionStore,
  Sessions,
  type SessionsOptions,
} from '../http/security/index.ts';
import type { Application } from './application.ts';
import type { Configuration } from './configuration.ts';
import { describeError, RuntimeError } from './errors.ts';
import { createStateRedis } from './state-redis.ts';

/** Sessions by cookie; see {@link Sessions}. */
export interface SessionSettings
  extends Pick<SessionsOptions, 'recheckMs' | 'dataMaxBytes' | 'sameSite' | 'secure' | 'storeTimeoutMs'> {
  /** Without a request for so long, a session ends. In seconds. @defaultValue 30 minutes */
  readonly idleS?: number | undefined;
  /** So long after log-in, a session ends. In seconds. @defaultValue 12 hours */
  readonly absoluteS?: number | undefined;
}

interface SessionParts {
  readonly application: Application;
  readonly configuration: Configuration;
  readonly db: Pool;
  readonly secret: string;
  readonly onProblem: (error: Error) => void;
}

/** Undefined where the application asks for none. Throws {@link RuntimeError}. */
export async function openSessions(
  { application, configuration, db, secret, onProblem }: SessionParts,
  acquired: AsyncDisposableStack,
): Promise<Sessions | undefined> {
  const { security } = application;
  if (!security || !security.sessions) return undefined;
  const { idleS = 30 * 60, absoluteS = 12 * 60 * 60, ...options } = security.sessions;
  if (options.secure === false && configuration.environment === 'production') {
    throw new RuntimeError(
      'ERR_RUNTIME_REFUSED',
      `${application.name} does not start in production: its sessions say \`secure: false\`, by which cookies go over plain HTTP. Leave it out.`,
    );
  }
  const { stateRedisUrl } = configuration.limits;
  const store =
    stateRedisUrl === undefined
      ? createPostgresSessionStore({ db, idleS, absoluteS, onProblem })
      : await openRedisStore(stateRedisUrl, { idleS, absoluteS }, acquired);
  return new Sessions({ ...options, store, secret, absoluteS });
}

async function openRedisStore(
  url: string,
  lifetimes: { readonly idleS: number; readonly absoluteS: number },
  acquired: AsyncDisposableStack,
): Promise<SessionStore> {
  const client = await createStateRedis(url, 'Sessions in Redis', acquired);
  try {
    await client.connect();
    return await createRedisSessionStore({ client, ...lifetimes });
  } catch (cause) {
    throw new RuntimeError(
      'ERR_RUNTIME_CONFIGURATION',
      `The Redis of VAZAO_STATE_REDIS_URL can't hold the sessions: ${describeError(cause).replace(/\.$/, '')}.`,
      { cause },
    );
  }
}
