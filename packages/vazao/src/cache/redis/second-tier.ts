/**
 * The second tier as a cache sees it: answers that other processes, hosts and earlier starts have computed.
 *
 *   get ─┬─ hit     an answer that is good up to a position; the caller tries what its own feed has told since (`Fill.adopt`)
 *        ├─ note    a node of the tree of keys: look under the longer key
 *        ├─ miss    compute; the ticket lets it be stored. Another may be computing: then `get` has waited for it, bounded
 *        └─ out     Redis is slow, gone, or has no open epoch: compute
 *
 * It is checked, never trusted: whatever is odd counts as absent, and no failure of Redis is an error of a request.
 */
import { createHmac, createSecretKey, hash, type KeyObject, randomBytes } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import type { ReadSnapshot } from '../../feed/index.ts';
import type { Entry, StatementRecord } from '../entry.ts';
import { Breaker } from './breaker.ts';
import { type Argument, type Connection, openConnection } from './connection.ts';
import { fromJson, toJson } from './entry-form.ts';
import { seal, UNPACKED_BYTES_MAX, unseal } from './envelope.ts';
import { type FunctionName, formatPosition, parsePosition } from './functions.ts';
import { type Lease, Leases } from './leases.ts';
import {
  CALL_TIMEOUT_MS_DEFAULT,
  ENTRY_MS_DEFAULT,
  FAILURES_MAX,
  FULL_PAUSE_MS,
  isShareable,
  LEASE_HELD_MAX_MS,
  LEASE_MS_DEFAULT,
  PROBE_MAX_MS,
  PROBE_MIN_MS,
  type SecondTierOptions,
  STORES_AT_ONCE_MAX,
  STORES_WAITING_MAX,
  WAIT_MAX_MS_DEFAULT,
  WAIT_STEP_MAX_MS,
  WAIT_STEP_MS,
} from './options.ts';
import { tagsOfTerms } from './tags.ts';

/** What allows a computation to be stored: the state of Redis before its snapshot was taken. */
export interface Ticket extends Lease {
  readonly epoch: string;
  readonly schemaHash: string;
  /** Redis' clock, and this process' (`performance.now`) not before it. */
  readonly redisMs: number;
  readonly atMs: number;
}

/** An answer that another process has computed. */
export interface Candidate<V> {
  readonly value: V;
  readonly statements: readonly StatementRecord[];
  readonly usesTime: boolean;
  readonly snapshot: ReadSnapshot | undefined;
  /** Everything that the snapshot sees was committed before. */
  readonly snapshotPosition: bigint;
  /** Every commit up to here is either seen by the snapshot or touches nothing that the answer read. */
  readonly validAt: bigint;
  /** When Redis will forget it, by `performance.now`: an answer with a time to live is no older elsewhere. */
  readonly expiresAtMs: number;
}

export type Asked<V> =
  | { readonly kind: 'hit'; readonly candidate: Candidate<V> }
  | { readonly kind: 'note'; readonly value: V }
  | { readonly kind: 'miss'; readonly ticket: Ticket }
  | { readonly kind: 'out' };

/** What is to be stored. */
export interface Storing<V> {
  readonly entry: Entry<V>;
  readonly snapshotPosition: bigint;
  readonly usesTime: boolean;
  /** Up to where the entry is known to be good, at the moment of the call; undefined when it is good no longer. */
  readonly findPosition: () => bigint | undefined;
  /** By `performance.now`; undefined: no limit of its own. */
  readonly expiresAtMs: number | undefined;
  /** The nodes that lead to the entry, by key. */
  readonly notes: readonly (readonly [key: string, value: V])[];
}

export interface SecondTierFigures {
  readonly isAvailable: boolean;
  /** Redis is left alone for its failures, until a probe succeeds. */
  readonly isBreakerOpen: boolean;
  readonly hits: number;
  readonly misses: number;
  /** Asked in vain, or not asked at all because it was not available. */
  readonly out: number;
  /** Calls that failed or came too late. */
  readonly errors: number;
  readonly stored: number;
  /** Refused by Redis, or not sent because the entry was good no longer, or too many were waiting. */
  readonly notStored: number;
}

const FULL = 'full';
const OUT = { kind: 'out' } as const;

/** Opens the second tier; close it with `close()`. Redis need not be there. Throws {@link RedisTierError}. */
export async function createSecondTier<V>(options: SecondTierOptions<V>): Promise<SecondTier<V>> {
  const connection = await openConnection({
    url: options.url,
    callTimeoutMs: options.callTimeoutMs ?? CALL_TIMEOUT_MS_DEFAULT,
    onProblem: options.onProblem,
  });
  return new SecondTier(connection, options);
}

export class SecondTier<V> {
  readonly #connection: Connection;
  readonly #options: SecondTierOptions<V>;
  readonly #secret: KeyObject | undefined;
  readonly #breaker: Breaker;
  readonly #leases: Leases;
  readonly #unsubscribe: () => void;
  #isShareable: boolean;
  readonly #stores: (() => Promise<void>)[] = [];
  #storing = 0;
  /** By `performance.now`: until then nothing is stored, because there was no room. */
  #fullUntilMs = 0;
  #isClosed = false;
  readonly #counters = { hits: 0, misses: 0, out: 0, errors: 0, stored: 0, notStored: 0 };

  /** Use {@link createSecondTier}. */
  constructor(connection: Connection, options: SecondTierOptions<V>) {
    this.#connection = connection;
    this.#options = options;
    this.#secret =
      options.secret === undefined
        ? undefined
        : createSecretKey(hash('sha256', `vazao tier ${options.secret}`, 'buffer'));
    this.#isShareable = isShareable(options.feed);
    this.#unsubscribe = options.feed.on('epoch', () => {
      this.#isShareable = isShareable(options.feed);
    });
    this.#breaker = new Breaker({
      failuresMax: FAILURES_MAX,
      probeMinMs: PROBE_MIN_MS,
      probeMaxMs: PROBE_MAX_MS,
      // A function that may write: a master that became a replica is of no use.
      probe: () => this.#connection.call('release', [this.#name('l', 'probe')], ['probe']),
    });
    this.#leases = new Leases({
      leaseMs: this.#leaseMs,
      heldMaxMs: LEASE_HELD_MAX_MS,
      extend: async (leases) => {
        const names = leases.map(({ leaseName }) => leaseName);
        if (this.isAvailable) await this.#run('extend', names, [this.#leaseMs, ...leases.map(({ token }) => token)]);
      },
    });
  }

  /** False while asking would be in vain: Redis is not connected, or was left alone for its failures, or the feed tells too little. */
  get isAvailable(): boolean {
    return this.#isShareable && this.#breaker.isClosed && this.#connection.isReady;
  }

  figures(): SecondTierFigures {
    return { isAvailable: this.isAvailable, isBreakerOpen: !this.#breaker.isClosed, ...this.#counters };
  }

  /**
   * Asks for the answer of a key. Call {@link Fill.open} before. Takes `callTimeoutMs` at most, and `waitMaxMs` more when
   * another is computing. Never rejects.
   * @param findCoveredFrom - the position from which on the asker remembers all commits, at the moment of the call
   */
  async get(key: string, findCoveredFrom: () => bigint): Promise<Asked<V>> {
    const { schemaHash, waitMaxMs = WAIT_MAX_MS_DEFAULT } = this.#options;
    const schema = schemaHash();
    if (schema === undefined || !this.isAvailable) return this.#out();
    const entryName = this.#entryName(schema, key);
    const leaseName = this.#name('l', `${schema}:${this.#options.codeVersion}:${key}`);
    const token = randomBytes(12).toString('base64url');
    const deadlineMs = performance.now() + waitMaxMs;
    for (let stepMs = WAIT_STEP_MS; ; stepMs = Math.min(stepMs * 2, WAIT_STEP_MAX_MS)) {
      const reply = await this.#ask(entryName, leaseName, token, findCoveredFrom());
      const atMs = performance.now();
      switch (reply?.[0]) {
        case 'hit': {
          const candidate = await this.#open(reply, entryName, atMs);
          if (candidate) this.#counters.hits++;
          return candidate ? { kind: 'hit', candidate } : this.#out();
        }
        case 'note': {
          const value = await this.#openNote(reply[1], entryName);
          return value === undefined ? this.#out() : { kind: 'note', value };
        }
        case 'miss':
        case 'wait': {
          const epoch = String(reply[1]);
          const redisMs = Number(reply[2]) / 1_000;
          if (!Number.isFinite(redisMs)) return this.#out();
          if (reply[0] === 'wait' && atMs + stepMs < deadlineMs) break;
          this.#counters.misses++;
          const ticket: Ticket = { epoch, schemaHash: schema, leaseName, token, redisMs, atMs };
          if (reply[0] === 'miss') this.#leases.hold(ticket);
          return { kind: 'miss', ticket };
        }
        default:
          return this.#out();
      }
      await delay(stepMs);
    }
  }

  /** Stores in the background what was computed with a ticket, and gives its lease back. */
  store(ticket: Ticket, storing: Storing<V>): void {
    if (this.#stores.length >= STORES_WAITING_MAX) {
      this.#counters.notStored++;
      this.release(ticket);
      return;
    }
    this.#stores.push(async () => {
      const isStored = await this.#store(ticket, storing).catch(() => false);
      this.#counters[isStored ? 'stored' : 'notStored']++;
      if (isStored) this.#leases.forget(ticket);
      else this.release(ticket);
    });
    this.#work();
  }

  /** Gives a lease back: the computation came to nothing that could be stored. Whoever waits for it computes, all at once. */
  release(ticket: Ticket): void {
    this.#leases.forget(ticket);
    // If it fails, the lease ends by its time.
    if (this.isAvailable) void this.#run('release', [ticket.leaseName], [ticket.token]);
  }

  /** Ends the connection. What waits to be stored is not. */
  close(): void {
    this.#isClosed = true;
    this.#unsubscribe();
    this.#stores.length = 0;
    this.#leases[Symbol.dispose]();
    this.#breaker[Symbol.dispose]();
    this.#connection.close();
  }

  #out(): typeof OUT {
    this.#counters.out++;
    return OUT;
  }

  async #ask(
    entryName: string,
    leaseName: string,
    token: string,
    coveredFrom: bigint,
  ): Promise<readonly (string | Buffer)[] | undefined> {
    const { namespace, feed } = this.#options;
    const keys = [this.#meta, entryName, leaseName];
    const prefix = `${namespace}t:`;
    const args = [String(feed.timeline), formatPosition(coveredFrom), prefix, token, this.#leaseMs];
    const reply = await this.#run('get', keys, args);
    if (!Array.isArray(reply)) return undefined;
    // The second may be bytes; the others are words and numbers.
    return reply.map((part, at) =>
      at === 1 && String(reply[0]) !== 'miss' && String(reply[0]) !== 'wait' ? part : String(part),
    );
  }

  async #open(
    [, sealed, positionText, relayedText, leftText]: readonly (string | Buffer)[],
    name: string,
    atMs: number,
  ): Promise<Candidate<V> | undefined> {
    const position = parsePosition(positionText);
    const relayed = parsePosition(relayedText);
    const leftMs = Number(leftText);
    if (!Buffer.isBuffer(sealed) || position === undefined || relayed === undefined) return undefined;
    const parcel = await unseal(sealed, name, this.#secret);
    if (!parcel) return undefined;
    try {
      const facts = fromJson(parcel.json);
      if (facts.name !== name || facts.position !== position) return undefined;
      const value = this.#options.codec.decode(parcel.value);
      if (value === undefined) return undefined;
      const { statements, usesTime, snapshot, snapshotPosition } = facts;
      const validAt = laterOf(position, relayed);
      return { value, statements, usesTime, snapshot, snapshotPosition, validAt, expiresAtMs: atMs + leftMs };
    } catch {
      return undefined; // not what we wrote: as good as absent
    }
  }

  async #openNote(sealed: string | Buffer | undefined, name: string): Promise<V | undefined> {
    const parcel = Buffer.isBuffer(sealed) ? await unseal(sealed, name, this.#secret) : undefined;
    if (!parcel || (parcel.json as { name?: unknown } | null)?.name !== name) return undefined;
    try {
      return this.#options.codec.decode(parcel.value);
    } catch {
      return undefined; // not what we wrote: as good as absent
    }
  }

  async #store(ticket: Ticket, storing: Storing<V>): Promise<boolean> {
    const { namespace, codec, entryMs = ENTRY_MS_DEFAULT } = this.#options;
    const { entry, snapshotPosition, usesTime } = storing;
    const tags = tagsOfTerms(entry.terms);
    const position = storing.findPosition();
    if (!tags || position === undefined || !this.isAvailable || performance.now() < this.#fullUntilMs) return false;
    for (const [key, value] of storing.notes) await this.#note(ticket, key, value);
    const { key, statements, snapshot } = entry;
    const name = this.#entryName(ticket.schemaHash, key);
    const json = toJson({ name, statements, snapshot, snapshotPosition, position, usesTime });
    const value = codec.encode(entry.value);
    if (value.length > UNPACKED_BYTES_MAX / 2) return false;
    const sealed = await seal({ json, value }, name, this.#secret);
    // By Redis' clock, and never later than the truth: its clock was read before ours.
    const lifeMs = Math.min(entryMs, (storing.expiresAtMs ?? Number.POSITIVE_INFINITY) - ticket.atMs);
    const expiresAt = Math.floor(ticket.redisMs + lifeMs);
    const keys = [this.#meta, name, ticket.leaseName, ...tags.map((tag) => `${namespace}t:${tag}`)];
    const args = [ticket.epoch, formatPosition(position), tags.join(''), sealed, expiresAt, entryMs * 2];
    return this.#put(keys, args);
  }

  async #put(keys: readonly string[], args: readonly Argument[]): Promise<boolean> {
    const reply = await this.#run('put', keys, args);
    if (String(reply) === FULL) this.#fullUntilMs = performance.now() + FULL_PAUSE_MS;
    return String(reply) === 'stored';
  }

  async #note(ticket: Ticket, key: string, value: V): Promise<void> {
    const { codec, entryMs = ENTRY_MS_DEFAULT } = this.#options;
    const name = this.#entryName(ticket.schemaHash, key);
    await this.#run(
      'note',
      [name],
      [await seal({ json: { name }, value: codec.encode(value) }, name, this.#secret), entryMs],
    );
  }

  #work(): void {
    while (this.#storing < STORES_AT_ONCE_MAX && !this.#isClosed) {
      const next = this.#stores.shift();
      if (!next) return;
      this.#storing++;
      void next().finally(() => {
        this.#storing--;
        this.#work();
      });
    }
  }

  #run(name: FunctionName, keys: readonly string[], args: readonly Argument[]): Promise<unknown> {
    return this.#breaker.run(() =>
      this.#connection.call(name, keys, args).catch((error: Error) => {
        // A full Redis still answers and still learns of changes; it only takes in nothing more.
        if (error.message.includes('OOM')) return FULL;
        this.#counters.errors++;
        throw error;
      }),
    );
  }

  get #leaseMs(): number {
    return this.#options.leaseMs ?? LEASE_MS_DEFAULT;
  }

  get #meta(): string {
    return `${this.#options.namespace}meta`;
  }

  #entryName(schemaHash: string, key: string): string {
    return this.#name('e', `${schemaHash}:${this.#options.codeVersion}:${key}`);
  }

  /** Keys of answers may be long, and hold what is personal. Whoever has another secret could not read what stands there. */
  #name(kind: 'e' | 'l', text: string): string {
    const digest = this.#secret
      ? createHmac('sha256', this.#secret).update(`name ${text}`).digest('base64url')
      : hash('sha256', text, 'base64url');
    return `${this.#options.namespace}${kind}:${digest}`;
  }
}

function laterOf(left: bigint, right: bigint): bigint {
  if (left > right) return left;
  return right;
}
