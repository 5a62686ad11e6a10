/** Who is asking: the application's `identify`, remembered per proof so that a hit by a known caller verifies nothing twice. */
import type { IncomingHttpHeaders } from 'node:http';
import { LRUCache } from 'lru-cache';
import type { Identify, Identity } from './options.ts';

const REMEMBERED_MAX = 10_000;
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
  readonly #known = new LRUCache<string, KnownIdentity & { readonly until: number }>({ max: REMEMBERED_MAX });

  constructor(identify: Identify | undefined) {
    this.#identify = identify;
  }

  /** The caller, at once where it is remembered or anonymous. */
  of(headers: IncomingHttpHeaders): KnownIdentity | Promise<KnownIdentity> {
    const identify = this.#identify;
    if (!identify) return ANONYMOUS;
    let proof = '';
    for (const name of identify.headers) proof += `${headers[name] ?? ''}\n`;
    if (proof.length === identify.headers.length) return ANONYMOUS; // none of the headers is there
    const known = this.#known.get(proof);
    if (known && Date.now() < known.until) return known;
    const shown = Object.fromEntries(identify.headers.map((name) => [name, headers[name]?.toString()]));
    const identity = identify.user(shown);
    return identity instanceof Promise
      ? identity.then((resolved) => this.#remember(proof, resolved))
      : this.#remember(proof, identity);
  }

  #remember(proof: string, identity: Identity | undefined): KnownIdentity {
    if (!identity) {
      const refused = { ...ANONYMOUS, until: Date.now() + REFUSED_MS };
      this.#known.set(proof, refused);
      return refused;
    }
    const { expiresAt, ...claims } = identity;
    const known = { identity, key: `+${JSON.stringify(claims)}`, until: expiresAt ?? Number.POSITIVE_INFINITY };
    if (Date.now() >= known.until) return ANONYMOUS;
    this.#known.set(proof, known);
    return known;
  }
}
