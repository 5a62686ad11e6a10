/** Addresses of Redis, as they are configured: of one server, of sentinels, of a cluster. Loads nothing. */

const FORM = /^(redis|rediss|redis-sentinel|redis-cluster):\/\/(?:([^:@/]*)(?::([^@/]*))?@)?([^/@]+)(?:\/([\w.-]*))?$/;

/** Whether the text is one of the forms of `ConnectionOptions.url`. */
export function isRedisUrl(text: string): boolean {
  return parseRedisUrl(text) !== undefined;
}

export interface RedisAddress {
  readonly kind: string;
  readonly username: string | undefined;
  readonly password: string | undefined;
  readonly hosts: readonly { readonly host: string; readonly port: number }[];
  readonly path: string | undefined;
}

/** Undefined for a text of another form. */
export function parseRedisUrl(url: string): RedisAddress | undefined {
  const match = FORM.exec(url);
  if (!match) return undefined;
  const [, kind = '', username, password, list = '', path] = match;
  const fallback = kind === 'redis-sentinel' ? 26_379 : 6_379;
  const hosts = list.split(',').map((one) => {
    const parts = /^(\[[0-9a-fA-F:]+\]|[\w.-]+)(?::(\d{1,5}))?$/.exec(one);
    return parts && { host: (parts[1] as string).replace(/^\[|\]$/g, ''), port: Number(parts[2] ?? fallback) };
  });
  const isSingle = kind === 'redis' || kind === 'rediss';
  if (hosts.includes(null) || (isSingle && (hosts.length !== 1 || !/^\d*$/.test(path ?? '')))) return undefined;
  if (kind === 'redis-sentinel' && !path) return undefined;
  if (kind === 'redis-cluster' && path) return undefined;
  try {
    return {
      kind,
      username: username ? decodeURIComponent(username) : undefined,
      password: password ? decodeURIComponent(password) : undefined,
      hosts: hosts as RedisAddress['hosts'],
      path: path || undefined,
    };
  } catch {
    return undefined; // a percent sign that begins nothing
  }
}
