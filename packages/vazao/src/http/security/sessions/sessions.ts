/**
 * Sessions by cookie. A session begins when something is to be remembered, and ends by log-out, when it is idle, or when its
 * time is over. Its id is in the cookie alone; the store has a hash, the log and the keys of the cache have nothing.
 *
 * Who is asking reaches a cached handler as `request.user`, by {@link Sessions.identify}: an answer that reads it is kept per
 * user. What a process has looked up counts for `recheckMs`; what it ends itself, ends at once.
 *
 * When the store does not answer, nobody can tell who asks: neither the user nor nobody. Requests without a session, and
 * those that do not read `request.user`, are answered as always; the others get 503.
 */
import type { IncomingHttpHeaders } from 'node:http';
import { LRUCache } from 'lru-cache';
import type { Identify, Identity } from '../../options.ts';
import { SecurityError } from '../errors.ts';
import { SessionIds } from './session-id.ts';
import { handleOf, type ListedSession, type SessionData, type SessionStore, type StoredSession } from './store.ts';

export interface SessionsOptions {
  readonly store: SessionStore;
  /** Signs ids and tokens; the same on all servers. */
  readonly secret: string;
  /** As the store has it: how long the cookie lives. In seconds. */
  readonly absoluteS: number;
  /** For how long a process goes by what it has looked up: so late another process notices that a session ended. @defaultValue 1 s */
  readonly recheckMs?: number | undefined;
  /** A session's data as JSON may be so large. @defaultValue 4 KiB */
  readonly dataMaxBytes?: number | undefined;
  /** @defaultValue `lax` */
  readonly sameSite?: 'lax' | 'strict' | undefined;
  /**
   * False: the cookie also goes over plain HTTP, and is named `session` instead of `__Host-session`. For development with a
   * browser that does not trust `localhost`.
   * @defaultValue true
   */
  readonly secure?: boolean | undefined;
  /** A store that takes longer has failed. @defaultValue 2 s */
  readonly storeTimeoutMs?: number | undefined;
}

const REMEMBERED_MAX = 10_000;
const LOOKUPS_MAX = 1_000;
/** After a failure nobody waits for the store for so long. */
const PAUSE_MS = 500;

type ResolvedOptions = {
  readonly [Name in keyof Omit<SessionsOptions, 'store' | 'secret'>]-?: NonNullable<SessionsOptions[Name]>;
};

interface Remembered {
  readonly session: StoredSession;
  /** The same object for as long as the session is remembered: its key is made once. */
  readonly identity: Identity | undefined;
  readonly until: number;
}

export class Sessions {
  readonly cookieName: string;
  /** For the option `identify` of `vazaoPlugin`. */
  readonly identify: Identify;
  readonly ids: SessionIds;
  readonly #store: SessionStore;
  readonly #remembered = new LRUCache<string, Remembered>({ max: REMEMBERED_MAX });
  readonly #lookups = new Map<string, Promise<StoredSession | undefined>>();
  readonly #options: ResolvedOptions;
  #pausedUntil = 0;

  constructor({ store, secret, ...options }: SessionsOptions) {
    this.#store = store;
    this.ids = new SessionIds(secret);
    this.#options = {
      absoluteS: options.absoluteS,
      recheckMs: options.recheckMs ?? 1_000,
      dataMaxBytes: options.dataMaxBytes ?? 4_096,
      sameSite: options.sameSite ?? 'lax',
      secure: options.secure ?? true,
      storeTimeoutMs: options.storeTimeoutMs ?? 2_000,
    };
    this.cookieName = this.#options.secure ? '__Host-session' : 'session';
    this.identify = {
      headers: ['cookie'],
      cookies: [this.cookieName],
      remembers: true,
      user: ({ cookie }) => this.#identify(this.findHash({ cookie })),
    };
  }

  /** The hash of the session that a request names; undefined for none, and for an id that we have not made. */
  findHash({ cookie }: Pick<IncomingHttpHeaders, 'cookie'>): Buffer | undefined {
    for (const pair of cookie?.split(';') ?? []) {
      const equals = pair.indexOf('=');
      if (equals < 0 || pair.slice(0, equals).trim() !== this.cookieName) continue;
      const hash = this.ids.hashOf(pair.slice(equals + 1).trim());
      if (hash) return hash;
    }
    return undefined;
  }

  /** The session as the store has it now. Throws {@link SecurityError} when the store does not answer. */
  async find(hash: Buffer): Promise<StoredSession | undefined> {
    const key = handleOf(hash);
    const running = this.#lookups.get(key);
    if (running) return running;
    if (this.#lookups.size >= LOOKUPS_MAX) throw storeError(new Error(`${LOOKUPS_MAX} look-ups are running`));
    const lookup = this.#ask(() => this.#store.find(hash));
    this.#lookups.set(key, lookup);
    try {
      const session = await lookup;
      // Whoever ended it meanwhile has taken the look-up away.
      if (!session) this.#remembered.delete(key);
      else if (this.#lookups.get(key) === lookup) this.#remember(key, session);
      return session;
    } finally {
      if (this.#lookups.get(key) === lookup) this.#lookups.delete(key);
    }
  }

  /** Begins a session in the place of another; gives the cookie for it. */
  async replace(
    old: Buffer | undefined,
    user: Identity | undefined,
    data: SessionData,
  ): Promise<{ readonly hash: Buffer; readonly cookie: string }> {
    this.#assertSize(data);
    const { expiresAt: _, ...claims } = user ?? { id: '' };
    const id = this.ids.create();
    const hash = this.ids.hashOf(id) as Buffer;
    const session = { user: user && (claims as Identity), data };
    const { endsAt } = await this.#ask(() => this.#store.replace(old, hash, session));
    if (old) this.#forget(old);
    this.#remember(handleOf(hash), { ...session, endsAt });
    return { hash, cookie: this.#cookie(id, this.#options.absoluteS) };
  }

  /** False when the session has ended. */
  async write(hash: Buffer, data: SessionData): Promise<boolean> {
    this.#assertSize(data);
    const written = await this.#ask(() => this.#store.write(hash, data));
    this.#forget(hash);
    return written;
  }

  /** Ends a session; gives the cookie that deletes the client's. */
  async remove(hash: Buffer): Promise<string> {
    this.#forget(hash);
    await this.#ask(() => this.#store.remove(hash));
    this.#forget(hash); // it may have been looked up meanwhile
    return this.#cookie('', 0);
  }

  /** The sessions of a user, the newest first, 100 at most: for a page on which they can be ended one by one. */
  async list(userId: string): Promise<readonly ListedSession[]> {
    return this.#ask(() => this.#store.list(userId));
  }

  /** Ends one session of {@link list}. False where this user has none of that handle. */
  async end(userId: string, handle: string): Promise<boolean> {
    const listed = await this.list(userId);
    if (!listed.some((session) => session.handle === handle)) return false;
    await this.remove(Buffer.from(handle, 'base64url'));
    return true;
  }

  /** Ends all sessions of a user, as after a new password. Other processes notice within `recheckMs`. */
  async endAll(userId: string): Promise<void> {
    await this.#ask(() => this.#store.removeAll(userId));
    for (const [key, { session }] of this.#remembered) if (session.user?.id === userId) this.#remembered.delete(key);
    this.#lookups.clear(); // what is being looked up may have been found before
  }

  async close(): Promise<void> {
    await this.#store.close();
  }

  #identify(hash: Buffer | undefined): Identity | undefined | Promise<Identity | undefined> {
    if (!hash) return undefined;
    const key = handleOf(hash);
    const known = this.#remembered.get(key);
    if (known && Date.now() < known.until) return known.identity;
    return this.find(hash).then((session) => session && (this.#remembered.get(key)?.identity ?? session.user));
  }

  #remember(key: string, session: StoredSession): void {
    const before = this.#remembered.get(key)?.session;
    const isSame = JSON.stringify(before?.user) === JSON.stringify(session.user);
    this.#remembered.set(key, {
      session,
      identity: isSame ? before?.user : session.user,
      until: Math.min(Date.now() + this.#options.recheckMs, session.endsAt),
    });
  }

  #forget(hash: Buffer): void {
    const key = handleOf(hash);
    this.#remembered.delete(key);
    this.#lookups.delete(key);
  }

  async #ask<T>(work: () => Promise<T>): Promise<T> {
    if (Date.now() < this.#pausedUntil) throw storeError(undefined);
    let timer: NodeJS.Timeout | undefined;
    const { storeTimeoutMs } = this.#options;
    const timeout = new Promise<never>((_resolve, reject) => {
      timer = setTimeout(() => reject(new Error(`no answer within ${storeTimeoutMs} ms`)), storeTimeoutMs);
    });
    try {
      return await Promise.race([work(), timeout]);
    } catch (cause) {
      // A value that the store refuses (classes 22 and 23 of PostgreSQL) is no failure of the store.
      if (/^2[23]/.test(String((cause as { code?: unknown })?.code))) throw cause;
      this.#pausedUntil = Date.now() + PAUSE_MS;
      throw storeError(cause);
    } finally {
      clearTimeout(timer);
    }
  }

  #assertSize(data: SessionData): void {
    const bytes = Buffer.byteLength(JSON.stringify(data));
    if (bytes <= this.#options.dataMaxBytes) return;
    throw new SecurityError(
      'ERR_SECURITY_SESSION_SIZE',
      `The data of a session take ${bytes} bytes, and may take ${this.#options.dataMaxBytes}. Keep an id in the session and the rest in a table.`,
    );
  }

  #cookie(value: string, maxAgeS: number): string {
    const { sameSite, secure } = this.#options;
    const rules = `Path=/; Max-Age=${Math.round(maxAgeS)}; HttpOnly; SameSite=${sameSite === 'lax' ? 'Lax' : 'Strict'}`;
    return `${this.cookieName}=${value}; ${rules}${secure ? '; Secure' : ''}`;
  }
}

function storeError(cause: unknown): SecurityError {
  return new SecurityError(
    'ERR_SECURITY_SESSION_STORE',
    'Who is asking can not be found out now, because the store of the sessions does not answer. Try again in a few seconds.',
    { cause },
  );
}
