/** What speaks against serving in production. All of it is told at once, each with what to do. */
import type pg from 'pg';
import { parseRedisUrl } from '../cache/redis/redis-url.ts';
import type { Application } from './application.ts';
import type { Configuration } from './configuration.ts';
import { describeError, RuntimeError } from './errors.ts';

/** Passwords that guides, images and installers give to databases and to Redis. */
const PASSWORDS_OF_GUIDES = [
  'postgres',
  'redis',
  'foobared',
  'password',
  'admin',
  'admin123',
  'changeme',
  'secret',
  'example',
  'root',
  '123456',
];
const SECRETS_OF_GUIDES =
  /change.?(me|this)|your.?(own.?)?(secret|token)|replace.?(me|this)|example.?(secret|token)|super.?secret/i;
/** Of nothing but such words; one in front of what is random is no harm. */
const TOKENS_OF_GUIDES =
  /^(?:vazao|metrics|prometheus|bearer|token|secret|password|admin|0?1234567890?|123456|[-_.:])+$/i;

const NEAR = ['', 'localhost', '127.0.0.1', '::1', '[::1]'];

/** Before anything is opened, and before a reload. Throws {@link RuntimeError}; does nothing in development. */
export function assertNoDefaults(application: Application, configuration: Configuration): void {
  const { environment, secret, metricsToken } = configuration;
  if (environment !== 'production') return;
  const reasons: string[] = [];
  if (SECRETS_OF_GUIDES.test(secret ?? '')) {
    reasons.push('VAZAO_SECRET is an example out of a guide. `openssl rand -base64 48` makes one that nobody knows.');
  }
  for (const { name, urls, remedy } of listAddresses(configuration)) {
    if (!urls.some(hasDefaultPassword)) continue;
    reasons.push(`The password in ${name} is one that everybody tries first. ${remedy}`);
  }
  if (metricsToken !== undefined && [SECRETS_OF_GUIDES, TOKENS_OF_GUIDES].some((guess) => guess.test(metricsToken))) {
    reasons.push('VAZAO_METRICS_TOKEN is one that everybody tries first. `openssl rand -hex 24` makes another.');
  }
  assertNone(application, reasons);
}

interface Addresses {
  readonly name: string;
  readonly urls: readonly string[];
  readonly remedy: string;
}

function listAddresses({ databaseUrl, databaseReplicaUrls, redisUrl, limits }: Configuration): readonly Addresses[] {
  const list = (url: string | undefined): readonly string[] => (url === undefined ? [] : [url]);
  const ofRole = 'Give the role another: `alter role … password …`.';
  const ofUser = 'Give the user another: `ACL SETUSER … resetpass >…`, and the same in its configuration.';
  return [
    { name: 'DATABASE_URL', urls: list(databaseUrl), remedy: ofRole },
    { name: 'DATABASE_REPLICA_URLS', urls: databaseReplicaUrls, remedy: ofRole },
    { name: 'REDIS_URL', urls: list(redisUrl), remedy: ofUser },
    { name: 'VAZAO_STATE_REDIS_URL', urls: list(limits.stateRedisUrl), remedy: ofUser },
  ];
}

/** When the database is migrated. Throws {@link RuntimeError}; does nothing in development. */
export async function assertApplicationAgrees(
  application: Application,
  configuration: Configuration,
  client: pg.ClientBase,
): Promise<void> {
  if (configuration.environment !== 'production' || !application.refuses) return;
  const reasons = await application.refuses(client).catch((cause) => {
    const message = `The application ${application.name} could not check whether it may serve: ${describeError(cause)}.`;
    throw new RuntimeError('ERR_RUNTIME_APPLICATION', message, { cause });
  });
  assertNone(application, reasons);
}

/** On this machine alone, whoever reaches the server has got further already. */
function hasDefaultPassword(url: string): boolean {
  const { hosts, username, password } = parseAddress(url);
  const isNear = hosts.every((host) => NEAR.includes(host));
  const given = (password ?? '').toLowerCase();
  // The user of Redis that has no name is `default`.
  const user = (username ?? 'default').toLowerCase();
  return !isNear && given !== '' && (PASSWORDS_OF_GUIDES.includes(given) || given === user);
}

interface Address {
  readonly hosts: readonly string[];
  readonly username: string | undefined;
  readonly password: string | undefined;
}

function parseAddress(url: string): Address {
  const redis = parseRedisUrl(url);
  if (redis) return { ...redis, hosts: redis.hosts.map(({ host }) => host) };
  const { hostname, username, password } = new URL(url);
  return { hosts: [hostname], username, password: decodeURIComponent(password) };
}

function assertNone({ name }: Application, reasons: readonly string[]): void {
  if (reasons.length === 0) return;
  throw new RuntimeError('ERR_RUNTIME_REFUSED', `${name} does not start in production. ${reasons.join(' ')}`);
}
