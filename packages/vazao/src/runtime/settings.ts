/** What is in force, and where each value is from. Secrets are masked. */
import { type Configuration, formatSize } from './configuration.ts';
import type { GivenVariables } from './environment.ts';
import { VARIABLES } from './variables.ts';

export interface Setting {
  readonly name: string;
  /** Undefined: none. */
  readonly value: string | undefined;
  /** `detected`: from the machine. */
  readonly source: 'environment' | '.env' | 'default' | 'detected';
  readonly meaning: string;
}

/** Of the platform's own tests. */
const INTERNAL = /^VAZAO_TEST_/;
const DETECTED = ['WORKERS', 'MEMORY_LIMIT', 'CACHE_SIZE'];

export function listSettings(configuration: Configuration, { values, fromFile }: GivenVariables): Setting[] {
  const inForce = describe(configuration);
  return VARIABLES.flatMap(({ name, meaning }) => {
    const isGiven = (values[name] ?? '').trim() !== '';
    if (INTERNAL.test(name) && !isGiven) return [];
    const given = fromFile.has(name) ? '.env' : 'environment';
    const isDetected = DETECTED.includes(name) && configuration.environment === 'production';
    const otherwise = isDetected ? 'detected' : 'default';
    const value = name in inForce ? inForce[name] : isGiven ? MASK : undefined;
    return [{ name, value, source: isGiven ? given : otherwise, meaning } as const];
  });
}

const MASK = '***';

/** What a variable leads to that is not in here is shown as being set, and no more. */
function describe(configuration: Configuration): Record<string, string | undefined> {
  const { databaseUrl, databaseReplicaUrls, redisUrl, secret, memory, memoryLimitBytes } = configuration;
  return {
    HOST: configuration.host,
    PORT: String(configuration.port),
    DATABASE_URL: databaseUrl === undefined ? undefined : withoutPassword(databaseUrl),
    DATABASE_REPLICA_URLS:
      databaseReplicaUrls.length > 0 ? databaseReplicaUrls.map(withoutPassword).join(' ') : undefined,
    DATABASE_POOL: String(configuration.databasePoolMax),
    VAZAO_FEED: configuration.feedSource,
    VAZAO_FEED_NOTIFY: configuration.feedNotify ? 'on' : 'off',
    WORKERS: String(configuration.workers),
    WORKER_REQUESTS_MAX: String(configuration.workerRequestsMax),
    WORKER_TIMEOUT: configuration.workerTimeoutMs === 0 ? '0' : `${configuration.workerTimeoutMs / 1_000}s`,
    MEMORY_LIMIT: memory ? formatSize(memoryLimitBytes) : undefined,
    VAZAO_CACHE: configuration.isCacheOn ? 'on' : 'off',
    CACHE_SIZE: formatSize(configuration.cacheSizeMaxBytes),
    CACHE_AUDIT: String(configuration.cacheAuditOneIn),
    REDIS_URL: redisUrl === undefined ? undefined : withoutPassword(redisUrl),
    LOG_LEVEL: configuration.logLevel,
    NODE_ENV: configuration.environment,
    VAZAO_DATA: configuration.dataFolder,
    VAZAO_SECRET: secret === undefined ? undefined : MASK,
    VAZAO_RELEASE: configuration.release,
    VAZAO_DEBUG: configuration.debug ? '1' : '0',
  };
}

/** Passwords may also stand among the parameters, and addresses of several servers are no URL. */
function withoutPassword(text: string): string {
  return text
    .replace(/^([a-z-]+:\/\/)(?:[^@/]*@)/i, (_all, scheme: string) => `${scheme}${MASK}@`)
    .replace(/([?&](?:password|sslpassword|passfile)=)[^&]*/gi, `$1${MASK}`);
}
