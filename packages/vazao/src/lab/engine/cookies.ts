/** The cookies of one user at one server (RFC 6265, without domains: there is one host). */
const COOKIES_MAX = 50;

interface Cookie {
  readonly value: string;
  readonly path: string;
}

export class Cookies {
  readonly #cookies = new Map<string, Cookie>();

  /** @param requestPath - whose answer had the fields, for cookies that name no path */
  store(fields: string | readonly string[], requestPath: string): void {
    for (const field of typeof fields === 'string' ? [fields] : fields) this.#storeOne(field, requestPath);
  }

  /** The value of the field `Cookie`; empty if there is none to send. */
  select(requestPath: string): string {
    if (this.#cookies.size === 0) return '';
    const path = withoutQuery(requestPath);
    const sent: string[] = [];
    for (const [key, cookie] of this.#cookies) {
      if (matches(path, cookie.path)) sent.push(`${key.slice(0, key.indexOf(' '))}=${cookie.value}`);
    }
    return sent.join('; ');
  }

  #storeOne(field: string, requestPath: string): void {
    const [pair = '', ...attributes] = field.split(';');
    const equals = pair.indexOf('=');
    const name = pair.slice(0, Math.max(0, equals)).trim();
    if (name === '' || /\s/.test(name)) return;
    let path = defaultPath(requestPath);
    let maxAgeS: number | undefined;
    let expiresAt: number | undefined;
    for (const attribute of attributes) {
      const [key = '', value = ''] = attribute.split('=', 2).map((text) => text.trim());
      if (/^path$/i.test(key) && value.startsWith('/')) path = value;
      else if (/^max-age$/i.test(key) && /^-?\d+$/.test(value)) maxAgeS = Number(value);
      else if (/^expires$/i.test(key)) expiresAt = Date.parse(value);
    }
    const key = `${name} ${path}`;
    // Max-Age wins over Expires. How long a cookie lives beyond that does not matter within a run.
    const gone = maxAgeS === undefined ? expiresAt !== undefined && expiresAt <= Date.now() : maxAgeS <= 0;
    if (gone) this.#cookies.delete(key);
    else if (this.#cookies.has(key) || this.#cookies.size < COOKIES_MAX) {
      this.#cookies.set(key, { value: pair.slice(equals + 1).trim(), path });
    }
  }
}

function withoutQuery(path: string): string {
  const query = path.indexOf('?');
  return query < 0 ? path : path.slice(0, query);
}

function defaultPath(requestPath: string): string {
  const path = withoutQuery(requestPath);
  const slash = path.lastIndexOf('/');
  return slash <= 0 ? '/' : path.slice(0, slash);
}

function matches(path: string, cookiePath: string): boolean {
  if (!path.startsWith(cookiePath)) return false;
  return path.length === cookiePath.length || cookiePath.endsWith('/') || path[cookiePath.length] === '/';
}
