/**
 * Access tokens: JSON Web Tokens by the rules of RFC 8725. Each key has one algorithm, and the token says by `kid` which key
 * it is; issuer, audience, type, times and age are checked always, so that no token passes for another.
 */
import { createSecretKey, hash, hkdfSync, type KeyObject } from 'node:crypto';
import type { JWTPayload } from 'jose';
import { loadPeer } from '../../peer/index.ts';
import type { Identify, Identity } from '../options.ts';
import { SecurityError } from './errors.ts';

/** Algorithms that a key may have; `none` and those of RSA with PKCS #1 v1.5 are not among them. */
const ALGORITHMS = ['HS256', 'HS384', 'HS512', 'ES256', 'ES384', 'Ed25519', 'PS256'] as const;
export type TokenAlgorithm = (typeof ALGORITHMS)[number];

export interface TokenKey {
  /** Names the key in the token's header; no two keys have the same. */
  readonly kid: string;
  readonly algorithm: TokenAlgorithm;
  /** Absent where this server only verifies with the key. */
  readonly sign?: KeyObject | undefined;
  readonly verify: KeyObject;
}

export interface TokensOptions {
  readonly issuer: string;
  readonly audience: string;
  /** The first one signs, all verify. To change keys put the new one first, and take the old one out after {@link lifetimeS}. */
  readonly keys: readonly [TokenKey, ...TokenKey[]];
  /** How long a token holds, in seconds. @defaultValue 900 */
  readonly lifetimeS?: number | undefined;
  /** The `typ` of the header. @defaultValue `at+jwt` (RFC 9068) */
  readonly type?: string | undefined;
  /** How far the clocks of two servers may be apart, in seconds; at most 60. @defaultValue 5 */
  readonly clockToleranceS?: number | undefined;
}

export interface TokenClaims extends Readonly<JWTPayload> {
  readonly sub: string;
  readonly exp: number;
  readonly iat: number;
}

export interface Tokens {
  sign(subject: string, claims?: Readonly<Record<string, unknown>>): Promise<string>;
  /** The claims; undefined when the token does not hold, for whatever reason. */
  verify(token: string): Promise<TokenClaims | undefined>;
}

const LENGTH_MAX = 8_192;
const REGISTERED = ['iss', 'sub', 'aud', 'exp', 'nbf', 'iat', 'jti'];

const loadJose = (): Promise<typeof import('jose')> => loadPeer<typeof import('jose')>('jose', 'Access tokens');

/** Needs the package `jose`. Throws {@link SecurityError} when the keys or bounds can't be used. */
export function createTokens(options: TokensOptions): Tokens {
  const { issuer, audience, keys, lifetimeS = 900, type = 'at+jwt', clockToleranceS = 5 } = options;
  const byId = new Map(keys.map((key) => [key.kid, key]));
  const [{ kid, algorithm, sign }] = keys;
  assertOptions(options, byId.size);
  const rules = {
    issuer,
    audience,
    typ: type,
    requiredClaims: ['sub', 'exp', 'iat'],
    clockTolerance: clockToleranceS,
    // Whoever signed it elsewhere for longer, with our key, is not followed.
    maxTokenAge: lifetimeS,
  };
  return {
    async sign(subject, claims = {}) {
      const reserved = REGISTERED.find((name) => name in claims);
      if (reserved !== undefined) throw optionsError(`the claim ${reserved} is set by the platform; leave it out`);
      const { SignJWT } = await loadJose();
      return new SignJWT({ ...claims })
        .setProtectedHeader({ alg: algorithm, typ: type, kid })
        .setSubject(subject)
        .setIssuer(issuer)
        .setAudience(audience)
        .setIssuedAt()
        .setExpirationTime(`${lifetimeS}s`)
        .sign(sign as KeyObject);
    },
    async verify(token) {
      if (token.length > LENGTH_MAX) return undefined;
      const { errors, jwtVerify } = await loadJose();
      try {
        const { payload } = await jwtVerify(
          token,
          ({ alg, kid: named }) => {
            const key = byId.get(named ?? '');
            // The key decides the algorithm, not the token (RFC 8725, 3.1).
            if (!key || key.algorithm !== alg) throw new errors.JWKSNoMatchingKey();
            return key.verify;
          },
          { ...rules, algorithms: [...ALGORITHMS] },
        );
        return payload as TokenClaims;
      } catch (error) {
        if (error instanceof errors.JOSEError) return undefined;
        throw error;
      }
    },
  };
}

/**
 * A key for HS256, derived from a secret (RFC 5869), so that one secret serves several purposes without any of them
 * learning another's key. Its `kid` tells nothing of the secret.
 */
export function deriveTokenKey(secret: string, purpose: string): TokenKey {
  const bytes = Buffer.from(hkdfSync('sha256', secret, '', `vazao token ${purpose}`, 32));
  const key = createSecretKey(bytes);
  return { kid: hash('sha256', bytes, 'base64url').slice(0, 12), algorithm: 'HS256', sign: key, verify: key };
}

/**
 * Who is asking, by `Authorization: Bearer`. A token that does not hold is that of an anonymous caller.
 * @param toIdentity - the part of the claims that tells callers apart; nothing in it may differ between two tokens of one user
 */
export function identifyByToken(
  tokens: Pick<Tokens, 'verify'>,
  toIdentity: (claims: TokenClaims) => Identity | undefined,
): Identify {
  return {
    headers: ['authorization'],
    async user({ authorization }) {
      const token = /^Bearer ([\w-]+\.[\w-]+\.[\w-]+)$/i.exec(authorization ?? '')?.[1];
      const claims = token === undefined ? undefined : await tokens.verify(token);
      const identity = claims && toIdentity(claims);
      return identity && { ...identity, expiresAt: (claims as TokenClaims).exp * 1_000 };
    },
  };
}

function assertOptions({ keys, lifetimeS = 900, clockToleranceS = 5 }: TokensOptions, distinct: number): void {
  if (!keys[0].sign) throw optionsError('the first key signs, and has no `sign`');
  if (distinct !== keys.length) throw optionsError('two keys have the same `kid`');
  if (!(lifetimeS > 0 && lifetimeS <= 86_400)) throw optionsError('lifetimeS may be from 1 to 86400 (a day)');
  if (!(clockToleranceS >= 0 && clockToleranceS <= 60)) throw optionsError('clockToleranceS may be from 0 to 60');
  for (const { kid, algorithm } of keys) {
    if (kid === '') throw optionsError('a key has an empty `kid`');
    if (!ALGORITHMS.includes(algorithm))
      throw optionsError(`the key ${kid} has the algorithm ${algorithm}; there are ${ALGORITHMS.join(', ')}`);
  }
}

function optionsError(what: string): SecurityError {
  return new SecurityError('ERR_SECURITY_OPTIONS', `createTokens: ${what}.`);
}
