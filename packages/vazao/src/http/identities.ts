/** Who is asking: the application's `identify`, remembered per proof so that a hit by a known caller verifies nothing twice. */
import type { IncomingHttpHeaders } from 'node:http';
import { LRUCache } from 'lru-cache';
import type { Identify, Identity } from './options.ts';

const REMEMBERED_MAX = 10_000;
/** A proof may be as long as all headers of a request, and it is the client who writes it. */
const REMEMBERED_MAX_BYTES = 16 * 1024 * 1024;
const REMEMBERED_OVERHEAD_BYTES = 500;
/** How long a proof that does not hold is remembered, so that a flood of one bad token costs one verification. */
const REFUSED_MS = 1_000;

export interface KnownIdentity {
  readonly identity: Identity | undefined;
  /** What of the identity stands in a key: all of it but when its proof ends. */
  readonly key: string;
}

const ANONYMOUS: KnownIdentity = { identity: undefined, key: '-' };

export class Identities {
  readonly #identify: Identify | undefined;
  readonly #known = new LRUCache<string, KnownIdentity & { readonly until: number }>({
    max: REMEMBERED_MAX,
    maxSize: REMEMBERED_MAX_BYTES,
    // The key of the identity is counted twice, for the identity itself.
    sizeCalculation: ({ key }, proof) => REMEMBERED_OVERHEAD_BYTES + proof.length * 2 + key.length * 4,
  });

  constructor(identify: Identify | undefined) {
    this.#identify = identify;
  }

  /** The caller, at once where it is remembered or anonymous. What `identify` throws is a rejection: never thrown here, in a listener. */
  of(headers: IncomingHttpHeaders): KnownIdentity | Promise<KnownIdentity> {
    const identify = this.#identify;
    if (!identify) return ANONYMOUS;
    let proof = '';
    for (const name of identify.headers) proof += `${headers[name] ?? ''}\n`;
    if (proof.length === identify.headers.length) return ANONYMOUS; // none of the headers is there
    const known = this.#known.get(proof);
    if (known && Date.now() < known.until) return known;
    const shown = Object.fromEntries(identify.headers.map((name) => [name, headers[name]?.toString()]));
    try {
      const identity = identify.user(shown);
      return identity instanceof Promise
        ? identity.then((resolved) => this.#remember(proof, resolved))
        : this.#remember(proof, identity);
    } catch (error) {
      return Promise.reject(error);
    }
  }

  #remember(proof: string, identity: Identity | undefined): KnownIdentity {
    if (!identity) {
      const refused = { ...ANONYMOUS, until: Date.now() + REFUSED_MS };
      this.#known.set(proof, refused);
      return refused;
    }
    const { expiresAt, ...claims } = identity;
    const known = {
      identity,
      key: `+${JSON.stringify(claims, replaceUnwritten)}`,
      until: expiresAt ?? Number.POSITIVE_INFINITY,
    };
    if (Date.now() >= known.until) return ANONYMOUS;
    this.#known.set(proof, known);
    return known;
  }
}

/** JSON writes every `Map` and `Set` as `{}`, which would make one caller of many, and refuses a `bigint`. */
function replaceUnwritten(_name: string, value: unknown): unknown {
  if (value instanceof Map || value instanceof Set) return [value.constructor.name, ...value];
  return typeof value === 'bigint' ? ['bigint', String(value)] : value;
}
