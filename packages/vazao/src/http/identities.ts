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
  /** What of the identity stands in a key: all of it but when its proof ends. Throws the {@link failure}, if there is one. */
  readonly key: string;
  /** Who is asking could not be found out: neither the user that the proof names, nor nobody. */
  readonly failure?: Error | undefined;
}

const ANONYMOUS: KnownIdentity = { identity: undefined, key: '-' };

export class Identities {
  readonly #provers: readonly Prover[];
  /** Headers that tell callers apart, for caches beyond us. */
  readonly headers: readonly string[];
  /** Names of the cookies among the proofs. */
  readonly cookies: ReadonlySet<string>;

  /** Of several, the first that knows the caller counts. */
  constructor(identify: Identify | readonly Identify[] | undefined) {
    const all = identify === undefined ? [] : [identify].flat();
    this.#provers = all.map((one) => new Prover(one));
    this.headers = [...new Set(all.flatMap(({ headers }) => headers))];
    this.cookies = new Set(all.flatMap(({ cookies = [] }) => cookies));
  }

  get isEmpty(): boolean {
    return this.#provers.length === 0;
  }

  /**
   * The caller, at once where it is remembered or anonymous. What `identify` throws neither throws here, in a listener, nor
   * makes the caller anybody: whoever needs to know meets it as {@link KnownIdentity.failure}.
   */
  of(headers: IncomingHttpHeaders): KnownIdentity | Promise<KnownIdentity> {
    return this.#from(0, headers);
  }

  /** The caller where nobody has to be asked who it is; asking, `identify` may have to look far. */
  known(headers: IncomingHttpHeaders): KnownIdentity | undefined {
    for (const prover of this.#provers) {
      const known = prover.known(headers);
      if (known !== ANONYMOUS) return known;
    }
    return ANONYMOUS;
  }

  #from(index: number, headers: IncomingHttpHeaders): KnownIdentity | Promise<KnownIdentity> {
    for (let at = index; at < this.#provers.length; at++) {
      const known = (this.#provers[at] as Prover).of(headers);
      if (known instanceof Promise) {
        return known.then((later) => (later === ANONYMOUS ? this.#from(at + 1, headers) : later));
      }
      if (known !== ANONYMOUS) return known;
    }
    return ANONYMOUS;
  }
}

class Prover {
  readonly #identify: Identify;
  readonly #known = new LRUCache<string, { readonly known: KnownIdentity; readonly until: number }>({
    max: REMEMBERED_MAX,
    maxSize: REMEMBERED_MAX_BYTES,
    // The key of the identity is counted twice, for the identity itself.
    sizeCalculation: ({ known }, proof) => REMEMBERED_OVERHEAD_BYTES + proof.length * 2 + known.key.length * 4,
  });
  /** Of an `identify` that remembers by itself, and gives the same object for the same caller. */
  readonly #keyed = new WeakMap<Identity, KnownIdentity>();

  constructor(identify: Identify) {
    this.#identify = identify;
  }

  /** Undefined where `identify` must be asked, and can't tell at once. */
  known(headers: IncomingHttpHeaders): KnownIdentity | undefined {
    const proof = this.#proofIn(headers);
    if (proof === undefined) return ANONYMOUS;
    if (this.#identify.remembers !== true) return this.#recall(proof);
    const known = this.#ask(proof, headers);
    return known instanceof Promise ? undefined : known;
  }

  of(headers: IncomingHttpHeaders): KnownIdentity | Promise<KnownIdentity> {
    const proof = this.#proofIn(headers);
    return proof === undefined ? ANONYMOUS : (this.#recall(proof) ?? this.#ask(proof, headers));
  }

  /** Undefined when none of the headers is there. */
  #proofIn(headers: IncomingHttpHeaders): string | undefined {
    const { headers: names } = this.#identify;
    let proof = '';
    for (const name of names) proof += `${headers[name] ?? ''}\n`;
    return proof.length === names.length ? undefined : proof;
  }

  #recall(proof: string): KnownIdentity | undefined {
    if (this.#identify.remembers === true) return undefined;
    const remembered = this.#known.get(proof);
    return remembered && Date.now() < remembered.until ? remembered.known : undefined;
  }

  #ask(proof: string, headers: IncomingHttpHeaders): KnownIdentity | Promise<KnownIdentity> {
    const identify = this.#identify;
    const shown = Object.fromEntries(identify.headers.map((name) => [name, headers[name]?.toString()]));
    const keep = (identity: Identity | undefined): KnownIdentity =>
      identify.remembers === true ? this.#withKey(identity) : this.#remember(proof, identity);
    try {
      const identity = identify.user(shown);
      return identity instanceof Promise ? identity.then(keep).catch(toUnknown) : keep(identity);
    } catch (error) {
      return toUnknown(error);
    }
  }

  #withKey(identity: Identity | undefined): KnownIdentity {
    if (!identity) return ANONYMOUS;
    let known = this.#keyed.get(identity);
    if (!known) {
      known = toKnown(identity);
      this.#keyed.set(identity, known);
    }
    return known;
  }

  #remember(proof: string, identity: Identity | undefined): KnownIdentity {
    const now = Date.now();
    const until = identity ? (identity.expiresAt ?? Number.POSITIVE_INFINITY) : now + REFUSED_MS;
    if (now >= until) return ANONYMOUS;
    const known = identity ? toKnown(identity) : ANONYMOUS;
    this.#known.set(proof, { known, until });
    return known;
  }
}

function toKnown(identity: Identity): KnownIdentity {
  const { expiresAt: _, ...claims } = identity;
  return { identity, key: `+${JSON.stringify(claims, replaceUnwritten)}` };
}

function toUnknown(error: unknown): KnownIdentity {
  const failure = error instanceof Error ? error : new Error(String(error));
  return {
    identity: undefined,
    failure,
    get key(): string {
      throw failure;
    },
  };
}

/** JSON writes every `Map` and `Set` as `{}`, which would make one caller of many, and refuses a `bigint`. */
function replaceUnwritten(_name: string, value: unknown): unknown {
  if (value instanceof Map || value instanceof Set) return [value.constructor.name, ...value];
  return typeof value === 'bigint' ? ['bigint', String(value)] : value;
}
