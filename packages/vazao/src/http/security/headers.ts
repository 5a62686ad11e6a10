/**
 * Security headers: `@fastify/helmet` with a strict policy, set before anything else, so that errors and refusals have them,
 * and kept with the answer, so that hits do.
 *
 * An inline script or style needs to be named in the policy. By its hash the page stays the same for everybody, and is
 * cached with its policy. A nonce is for one sending only: who can read it beforehand, as from a shared page, can inject a
 * script with it. So an answer whose policy has a nonce is never stored (`csp-nonce`; answer-fill.ts looks at the header
 * itself, whoever wrote it). Filling nonces into stored pages was rejected: any place where visitors' text could stand beside
 * the placeholder would be given the nonce, too.
 */
import { hash, randomBytes } from 'node:crypto';
import type { FastifyInstance, FastifyReply } from 'fastify';
import { loadPeer } from '../../peer/index.ts';

/** Sources by directive, such as `{ 'img-src': ["'self'", 'https://cdn.example'] }`. */
export type PolicyDirectives = Readonly<Record<string, readonly string[]>>;

export interface HeadersOptions {
  /** Takes the place of the directives of the same name in {@link POLICY}. `false`: no policy. */
  readonly contentSecurityPolicy?: PolicyDirectives | false | undefined;
  /**
   * Tells browsers to use TLS alone, for so many seconds, and to upgrade requests of a page. Only for a host that clients
   * always reach by TLS: browsers remember it. @defaultValue none
   */
  readonly strictTransportSecurity?:
    | { readonly maxAgeS: number; readonly includeSubDomains?: boolean; readonly preload?: boolean }
    | undefined;
  /** Which sites may load what we answer. @defaultValue `same-origin`; an API for other sites' pages needs `cross-origin` */
  readonly crossOriginResourcePolicy?: 'same-origin' | 'same-site' | 'cross-origin' | undefined;
  /** @defaultValue `same-origin`; a page whose pop-ups report back to it needs `same-origin-allow-popups` */
  readonly crossOriginOpenerPolicy?: 'same-origin' | 'same-origin-allow-popups' | 'unsafe-none' | undefined;
  /** Features of browsers that pages may use, such as `{ geolocation: '(self)' }`, beside {@link FEATURES_DENIED}. */
  readonly permissionsPolicy?: Readonly<Record<string, string>> | undefined;
}

/** What a page may load when the application says nothing else: its own scripts, styles, images and fonts. */
const POLICY: PolicyDirectives = {
  'default-src': ["'none'"],
  'script-src': ["'self'"],
  'style-src': ["'self'"],
  'img-src': ["'self'", 'data:'],
  'font-src': ["'self'"],
  'connect-src': ["'self'"],
  'manifest-src': ["'self'"],
  'object-src': ["'none'"],
  'form-action': ["'self'"],
  'frame-ancestors': ["'none'"],
  'base-uri': ["'none'"],
};

const FEATURES_DENIED = [
  'accelerometer',
  'browsing-topics',
  'camera',
  'display-capture',
  'geolocation',
  'gyroscope',
  'magnetometer',
  'microphone',
  'midi',
  'payment',
  'publickey-credentials-get',
  'screen-wake-lock',
  'serial',
  'usb',
  'xr-spatial-tracking',
];

const POLICY_HEADER = 'content-security-policy';
const NONCE: unique symbol = Symbol('vazao.nonce');

declare module 'fastify' {
  interface FastifyReply {
    /** A nonce for inline scripts and styles of this one answer, which is then never stored. The same at each call. */
    scriptNonce(): string;
    /** Names an inline script, as it stands between its tags, in the policy of this answer, which stays cacheable. */
    allowInlineScript(text: string): void;
    /** The same for an inline style. */
    allowInlineStyle(text: string): void;
    [NONCE]: string | undefined;
  }
}

/** Needs the package `@fastify/helmet`. */
export async function registerHeaders(app: FastifyInstance, options: HeadersOptions): Promise<void> {
  const { default: helmet } = await loadPeer<typeof import('@fastify/helmet')>('@fastify/helmet', 'Security headers');
  const { contentSecurityPolicy, strictTransportSecurity: transport, permissionsPolicy = {} } = options;
  const directives = { ...POLICY, ...contentSecurityPolicy, ...(transport && { 'upgrade-insecure-requests': [] }) };
  const resourcePolicy = options.crossOriginResourcePolicy ?? 'same-origin';
  const openerPolicy = options.crossOriginOpenerPolicy ?? 'same-origin';
  await app.register(helmet, {
    contentSecurityPolicy: contentSecurityPolicy !== false && { useDefaults: false, directives: mutable(directives) },
    strictTransportSecurity: transport
      ? {
          maxAge: transport.maxAgeS,
          includeSubDomains: transport.includeSubDomains ?? false,
          preload: transport.preload ?? false,
        }
      : false,
    crossOriginResourcePolicy: { policy: resourcePolicy },
    crossOriginOpenerPolicy: { policy: openerPolicy },
    xFrameOptions: { action: 'deny' }, // for browsers that do not know frame-ancestors
  });
  const denied = FEATURES_DENIED.filter((feature) => !(feature in permissionsPolicy));
  const features = [
    ...denied.map((feature) => `${feature}=()`),
    ...Object.entries(permissionsPolicy).map(([feature, allowed]) => `${feature}=${allowed}`),
  ].join(', ');
  app.addHook('onRequest', (_request, reply, done) => {
    reply.raw.setHeader('permissions-policy', features);
    done();
  });
  // What is answered before it came to these hooks, as by the limits, has the fields that matter to an answer of ours.
  const early: Readonly<Record<string, string>> = {
    ...(contentSecurityPolicy !== false && { [POLICY_HEADER]: formatPolicy(directives) }),
    'x-content-type-options': 'nosniff',
    'x-frame-options': 'DENY',
    'referrer-policy': 'no-referrer',
    'cross-origin-opener-policy': openerPolicy,
    'cross-origin-resource-policy': resourcePolicy,
    'permissions-policy': features,
  };
  app.addHook('onSend', (_request, reply, _payload, done) => {
    if (reply.raw.hasHeader('permissions-policy')) return done();
    for (const [name, value] of Object.entries(early))
      if (reply.getHeader(name) === undefined) reply.header(name, value);
    done();
  });
  app.decorateReply(NONCE, undefined);
  app.decorateReply('scriptNonce', function (this: FastifyReply) {
    if (this[NONCE] === undefined) {
      this[NONCE] = randomBytes(16).toString('base64url');
      allow(this, 'script-src', `'nonce-${this[NONCE]}'`);
      allow(this, 'style-src', `'nonce-${this[NONCE]}'`);
    }
    return this[NONCE];
  });
  app.decorateReply('allowInlineScript', function (this: FastifyReply, text: string) {
    allow(this, 'script-src', `'sha256-${hash('sha256', text, 'base64')}'`);
  });
  app.decorateReply('allowInlineStyle', function (this: FastifyReply, text: string) {
    allow(this, 'style-src', `'sha256-${hash('sha256', text, 'base64')}'`);
  });
}

/** Adds a source to one directive of the answer's policy, if it has one. */
function allow(reply: FastifyReply, directive: string, source: string): void {
  const policy = reply.getHeader(POLICY_HEADER);
  if (typeof policy !== 'string') return;
  const parts = policy.split(';').map((part) => part.trim());
  const at = parts.findIndex((part) => part === directive || part.startsWith(`${directive} `));
  const [, ...sources] = at < 0 ? [] : (parts[at] as string).split(/\s+/);
  const part = [directive, ...sources.filter((known) => known !== "'none'" && known !== source), source].join(' ');
  if (at < 0) parts.push(part);
  else parts[at] = part;
  reply.header(POLICY_HEADER, parts.join(';'));
}

function formatPolicy(directives: PolicyDirectives): string {
  return Object.entries(directives)
    .map(([name, sources]) => [name, ...sources].join(' '))
    .join(';');
}

function mutable(directives: PolicyDirectives): Record<string, string[]> {
  return Object.fromEntries(Object.entries(directives).map(([name, sources]) => [name, [...sources]]));
}
