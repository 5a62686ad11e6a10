/**
 * Requests that another site makes a browser send (CSRF), refused by what browsers themselves say of a request, as the
 * `CrossOriginProtection` of Go 1.25 does: `Sec-Fetch-Site`, which no page can forge, and `Origin` for older browsers.
 *
 * A request without either is not from a browser that could be misled, and passes. So does one with a bearer token: a page
 * of another site can't make a browser add one, and what it proves is no cookie.
 */
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { POSITION_COOKIE } from '../position-token.ts';
import { SecurityError } from './errors.ts';

export interface CrossOriginOptions {
  /** Other origins whose pages may send requests that change something: `https://admin.example`. @defaultValue none */
  readonly trustedOrigins?: readonly string[] | undefined;
  /**
   * `with cookies`: requests that carry a cookie (other than the platform's own position, which proves nothing) are checked.
   * `always`: also those without, so that no other site can log its visitor in as somebody else.
   * @defaultValue `always` with sessions, else `with cookies`
   */
  readonly check?: 'with cookies' | 'always' | undefined;
}

const SAFE = new Set(['GET', 'HEAD', 'OPTIONS', 'TRACE']);

declare module 'fastify' {
  interface FastifyContextConfig {
    /** False: other sites may send requests to this route, as to one that is called back by a payment service. @defaultValue true */
    crossOriginProtection?: boolean | undefined;
  }
}

/** Throws {@link SecurityError} when an origin is none. */
export function registerCrossOriginProtection(
  app: FastifyInstance,
  { trustedOrigins = [], check = 'with cookies' }: CrossOriginOptions,
): void {
  const trusted = new Set(trustedOrigins.map(assertOrigin));
  app.addHook('onRequest', (request, _reply, done) => {
    done(isRefused(request, trusted, check) ? createRefusal() : undefined);
  });
}

function isRefused(request: FastifyRequest, trusted: ReadonlySet<string>, check: 'with cookies' | 'always'): boolean {
  if (SAFE.has(request.method) || request.routeOptions.config.crossOriginProtection === false) return false;
  const { authorization, cookie, origin, 'sec-fetch-site': site } = request.headers;
  if (/^Bearer /i.test(authorization ?? '')) return false;
  if (check === 'with cookies' && !hasCookie(cookie)) return false;
  if (site === 'same-origin' || site === 'none') return false;
  if (origin === undefined && site === undefined) return false;
  if (origin !== undefined && trusted.has(origin)) return false;
  if (site !== undefined) return true;
  return hostOf(origin) !== request.host;
}

function hasCookie(header: string | undefined): boolean {
  return (header ?? '').split(';').some((pair) => pair.trim() !== '' && !pair.trim().startsWith(`${POSITION_COOKIE}=`));
}

/** `null`, as pages in a sandbox say, has none. */
function hostOf(origin: string | undefined): string | undefined {
  return URL.parse(origin ?? '')?.host;
}

function createRefusal(): SecurityError {
  return new SecurityError(
    'ERR_SECURITY_CROSS_ORIGIN',
    'A page of another site sent this request. If that site may, add its origin to `trustedOrigins`; a route that any site may call says `config: { crossOriginProtection: false }`.',
  );
}

function assertOrigin(origin: string): string {
  if (URL.canParse(origin) && new URL(origin).origin === origin) return origin;
  throw new SecurityError(
    'ERR_SECURITY_OPTIONS',
    `trustedOrigins: ${JSON.stringify(origin)} is no origin; write scheme and host alone, as https://admin.example.`,
  );
}
