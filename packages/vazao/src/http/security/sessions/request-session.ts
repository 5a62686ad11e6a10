/** `request.session`: what a handler does with the session of its request. */
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { Identity } from '../../options.ts';
import { STATE } from '../../request-state.ts';
import { SecurityError } from '../errors.ts';
import type { Sessions } from './sessions.ts';
import { handleOf, type SessionData } from './store.ts';

export interface RequestSession {
  /** What was remembered; empty without a session. In a cached handler the answer is then not stored (`session`). */
  read(): Promise<SessionData>;
  /** Remembers these data instead, and begins a session if there is none. */
  write(data: SessionData): Promise<void>;
  /** Begins a session with another id for who has proved to be this user, and ends the one before; data go along. */
  logIn(user: Identity): Promise<void>;
  /**
   * Ends the session. A browser is told to forget what it keeps of this origin, by `Clear-Site-Data` (W3C), unless the handler has said
   * itself what to clear.
   */
  logOut(): Promise<void>;
  /** The handle of this session among those of {@link Sessions.list}; undefined where none has begun. */
  readonly handle: string | undefined;
  /** Ends this and all other sessions of the user. */
  logOutEverywhere(): Promise<void>;
  /**
   * A token for a form, where the browser's own word on where a request comes from is not enough for you: see the option
   * `csrf` of a route. Begins a session if there is none.
   */
  csrfToken(): Promise<string>;
}

const SESSION: unique symbol = Symbol('vazao.session');
const SAFE = new Set(['GET', 'HEAD', 'OPTIONS', 'TRACE']);
const TOKEN_HEADER = 'x-csrf-token';
const TOKEN_FIELD = '_csrf';
/** Answers for the user, and what scripts have stored of them. The session's cookie is deleted by name: others are not ours. */
const FORGOTTEN_AT_LOG_OUT = '"cache", "storage"';

declare module 'fastify' {
  interface FastifyContextConfig {
    /**
     * `token`: requests to the route that carry a session need its token, in the field `x-csrf-token` or, of a form, `_csrf`.
     * @defaultValue none is needed
     */
    csrf?: 'token' | undefined;
  }
  interface FastifyInstance {
    /** Sessions by cookie; undefined when the application has none. */
    readonly sessions: Sessions | undefined;
  }
  interface FastifyRequest {
    /** The session of this request, which may not have begun. */
    readonly session: RequestSession;
    [SESSION]: OpenSession | undefined;
  }
}

/** A request and what came of its session while it was handled. */
class OpenSession implements RequestSession {
  readonly #sessions: Sessions;
  readonly #request: FastifyRequest;
  readonly #reply: FastifyReply;
  #hash: Buffer | undefined;

  constructor(sessions: Sessions, request: FastifyRequest, reply: FastifyReply) {
    this.#sessions = sessions;
    this.#request = request;
    this.#reply = reply;
    const { rawHeaders } = request.raw;
    this.#hash = sessions.findHash({ cookie: cookieOf(rawHeaders) });
  }

  async read(): Promise<SessionData> {
    return (this.#hash && (await this.#sessions.find(this.#hash))?.data) ?? {};
  }

  async write(data: SessionData): Promise<void> {
    if (this.#hash && (await this.#sessions.write(this.#hash, data))) return;
    await this.#begin(undefined, data);
  }

  async logIn(user: Identity): Promise<void> {
    await this.#begin(user, await this.read());
  }

  async logOut(): Promise<void> {
    if (!this.#hash) return;
    this.#setCookie(await this.#sessions.remove(this.#hash));
    this.#hash = undefined;
    if (!this.#reply.hasHeader('clear-site-data')) this.#reply.header('clear-site-data', FORGOTTEN_AT_LOG_OUT);
  }

  get handle(): string | undefined {
    return this.#hash && handleOf(this.#hash);
  }

  async logOutEverywhere(): Promise<void> {
    const user = this.#hash && (await this.#sessions.find(this.#hash))?.user;
    if (user) await this.#sessions.endAll(user.id);
    await this.logOut();
  }

  async csrfToken(): Promise<string> {
    if (!this.#hash || !(await this.#sessions.find(this.#hash))) await this.#begin(undefined, {});
    return this.#sessions.ids.createToken(this.#hash as Buffer);
  }

  isToken(token: unknown): boolean {
    return typeof token === 'string' && this.#hash !== undefined && this.#sessions.ids.isToken(this.#hash, token);
  }

  get isNamed(): boolean {
    return this.#hash !== undefined;
  }

  async #begin(user: Identity | undefined, data: SessionData): Promise<void> {
    const { hash, cookie } = await this.#sessions.replace(this.#hash, user, data);
    this.#hash = hash;
    this.#setCookie(cookie);
  }

  /** Of several that one answer would set, the last counts. */
  #setCookie(cookie: string): void {
    const others = [this.#reply.getHeader('set-cookie') ?? []].flat().map(String);
    const kept = others.filter((other) => !other.startsWith(`${this.#sessions.cookieName}=`));
    this.#reply.removeHeader('set-cookie').header('set-cookie', [...kept, cookie]);
    this.#reply.header('cache-control', 'no-store');
  }
}

/** Needs `vazaoPlugin` with the sessions' `identify` before it. */
export function registerSessions(app: FastifyInstance, sessions: Sessions): void {
  app.decorate('sessions', sessions);
  app.decorateRequest(SESSION, undefined);
  const replies = new WeakMap<FastifyRequest, FastifyReply>();
  app.addHook('onRequest', (request, reply, done) => {
    replies.set(request, reply);
    done();
  });
  const open = (request: FastifyRequest): OpenSession => {
    request[SESSION] ??= new OpenSession(sessions, request, replies.get(request) as FastifyReply);
    return request[SESSION];
  };
  app.decorateRequest('session', {
    getter(this: FastifyRequest) {
      // Nothing in the database that the feed tells of says when data of a session change.
      this[STATE]?.observation?.refuse(
        'session',
        'The handler used `request.session`. For who is asking read `request.user`.',
      );
      return open(this);
    },
  });
  app.addHook('preValidation', (request, _reply, done) => {
    const isChecked = request.routeOptions.config.csrf === 'token' && !SAFE.has(request.method);
    if (!isChecked || !open(request).isNamed) return done();
    const { body } = request as { body?: Record<string, unknown> };
    const isRight = [request.headers[TOKEN_HEADER], body?.[TOKEN_FIELD]].some((token) => open(request).isToken(token));
    done(isRight ? undefined : createRefusal());
  });
  app.addHook('onClose', () => sessions.close());
}

/** Looked up in the raw list: the accessor is watched, and what the platform itself reads is no dependency of the answer. */
function cookieOf(rawHeaders: readonly string[]): string | undefined {
  const found: string[] = [];
  for (let i = 0; i < rawHeaders.length; i += 2) {
    if ((rawHeaders[i] as string).toLowerCase() === 'cookie') found.push(rawHeaders[i + 1] as string);
  }
  return found.length > 0 ? found.join('; ') : undefined;
}

function createRefusal(): SecurityError {
  return new SecurityError(
    'ERR_SECURITY_CSRF_TOKEN',
    `The request needs the token of its session, in the field ${TOKEN_HEADER} or as ${TOKEN_FIELD}: \`request.session.csrfToken()\` makes one.`,
  );
}
