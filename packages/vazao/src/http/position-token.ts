/**
 * Position tokens: what a client has seen, or written, carried by the client. Whoever answers its next request, on whatever
 * worker or host, answers with nothing older.
 *
 * A token is opaque: the position in the log, encrypted and authenticated (AES-256-GCM, a key derived from the secret by
 * HKDF), so that it tells nobody how much is written, and nobody can make requests wait for a position of their choice.
 *
 *   header `vazao-position`   on every answer of a cached route and on every write; a client of an API sends back the last one
 *   cookie `vazao-position`   on every write, for browsers; renewed while they carry it and see something newer. It lives as
 *                             long as any host could be behind, and a good measure more.
 */
import { createCipheriv, createDecipheriv, hkdfSync, randomBytes } from 'node:crypto';
import { LRUCache } from 'lru-cache';
import { UNKNOWN_POSITION } from '../feed/index.ts';

export const POSITION_HEADER = 'vazao-position';
const COOKIE_HEADER = 'cookie';
export const POSITION_COOKIE = 'vazao-position';
const COOKIE_MAX_AGE_S = 30;

const CIPHER = 'aes-256-gcm';
const NONCE_BYTES = 12;
/** A timeline and a position within it. */
const POSITION_BYTES = 12;
const TAG_BYTES = 16;
const TOKEN = /^[\w-]{54}$/;
/** A client sends its token again and again. */
const REMEMBERED_MAX = 10_000;

export interface CarriedPosition {
  readonly position: bigint;
  /** As it came. */
  readonly token: string;
  /** It came as a cookie, and so is the next one to be given. */
  readonly byCookie: boolean;
}

/** What an answer shows. */
export interface Seen {
  readonly position: bigint;
  /** Its token; undefined when the answer shows nothing of the database. */
  readonly token: string | undefined;
}

/** Fields of one sending. */
export interface OwnFields {
  /** Instead of the answer's own. */
  readonly token: string | undefined;
  /** A `Set-Cookie`. */
  readonly cookie: string | undefined;
}

export class PositionTokens {
  readonly #key: Buffer;
  readonly #remembered = new LRUCache<string, bigint>({ max: REMEMBERED_MAX });

  /** @param secret - the same on every host; without one, tokens hold within this process only */
  constructor(secret: string | undefined) {
    this.#key = Buffer.from(hkdfSync('sha256', secret ?? randomBytes(32), '', 'vazao position token', 32));
  }

  format(position: bigint): string {
    const nonce = randomBytes(NONCE_BYTES);
    const cipher = createCipheriv(CIPHER, this.#key, nonce);
    const plain = Buffer.from(position.toString(16).padStart(POSITION_BYTES * 2, '0'), 'hex');
    const token = Buffer.concat([nonce, cipher.update(plain), cipher.final(), cipher.getAuthTag()]).toString(
      'base64url',
    );
    this.#remembered.set(token, position);
    return token;
  }

  /**
   * What a client gets beside the answer's own fields: a newer cookie, or its own token back where that is later than what
   * the answer shows, since the last token it gets is the one it will send.
   */
  own(carried: CarriedPosition | undefined, seen: Seen): OwnFields | undefined {
    if (!carried || carried.position === seen.position) return undefined;
    // Who carries that nobody knows what it has seen is answered by the primary, which shows that and maybe more.
    const isReplaced = carried.position === UNKNOWN_POSITION && seen.position !== 0n;
    if (carried.position > seen.position && !isReplaced) return { token: carried.token, cookie: undefined };
    return carried.byCookie && seen.token ? { token: undefined, cookie: this.cookie(seen.token) } : undefined;
  }

  /** Whether a `Set-Cookie` is one of {@link PositionTokens.cookie}. */
  isCookie(field: string): boolean {
    return field.startsWith(`${POSITION_COOKIE}=`);
  }

  cookie(token: string): string {
    return `${POSITION_COOKIE}=${token}; Max-Age=${COOKIE_MAX_AGE_S}; Path=/; HttpOnly; SameSite=Lax`;
  }

  /** The latest position that the request names; undefined when it names none. What is forged or can't be read is ignored. */
  find(rawHeaders: readonly string[]): CarriedPosition | undefined {
    let found: CarriedPosition | undefined;
    for (let i = 0; i < rawHeaders.length; i += 2) {
      const name = rawHeaders[i] as string;
      const { length } = name;
      if (length !== COOKIE_HEADER.length && length !== POSITION_HEADER.length) continue;
      const text = rawHeaders[i + 1] as string;
      const lower = name.toLowerCase();
      if (lower === POSITION_HEADER) found = later(found, this.#carried(text.trim(), false));
      else if (lower === COOKIE_HEADER && text.includes(POSITION_COOKIE)) {
        for (const pair of text.split(';')) {
          const [key, value] = pair.split('=');
          if (key?.trim() === POSITION_COOKIE) found = later(found, this.#carried(value?.trim() ?? '', true));
        }
      }
    }
    return found;
  }

  #carried(token: string, byCookie: boolean): CarriedPosition | undefined {
    const position = this.#parse(token);
    return position === undefined ? undefined : { position, token, byCookie };
  }

  #parse(text: string): bigint | undefined {
    const known = this.#remembered.get(text);
    if (known !== undefined) return known;
    if (!TOKEN.test(text)) return undefined;
    const bytes = Buffer.from(text, 'base64url');
    const decipher = createDecipheriv(CIPHER, this.#key, bytes.subarray(0, NONCE_BYTES), { authTagLength: TAG_BYTES });
    decipher.setAuthTag(bytes.subarray(NONCE_BYTES + POSITION_BYTES));
    const plain = decipher.update(bytes.subarray(NONCE_BYTES, NONCE_BYTES + POSITION_BYTES));
    try {
      decipher.final();
    } catch {
      return undefined; // forged, or made with another secret
    }
    const position = BigInt(`0x${plain.toString('hex')}`);
    this.#remembered.set(text, position);
    return position;
  }
}

function later(found: CarriedPosition | undefined, next: CarriedPosition | undefined): CarriedPosition | undefined {
  if (!found || !next) return next ?? found;
  const { position, token } = next.position > found.position ? next : found;
  return { position, token, byCookie: found.byCookie || next.byCookie };
}
