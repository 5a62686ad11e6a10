/**
 * Ids of sessions: 192 random bits and a signature of 128 (HMAC-SHA-256), so that a flood of invented ones costs a signature each and
 * no look-up.
 */
import { createHash, createHmac, hkdfSync, randomBytes, timingSafeEqual } from 'node:crypto';

const RANDOM_BYTES = 24;
const SIGNATURE_BYTES = 16;
// The last digit of base64url carries bits that nobody reads: one text for each value, not four.
const FORM = /^[\w-]{53}[AQgw]$/;
const TOKEN_FORM = /^[\w-]{42}[AEIMQUYcgkosw048]$/;

export class SessionIds {
  readonly #key: Buffer;
  readonly #tokenKey: Buffer;

  constructor(secret: string) {
    this.#key = Buffer.from(hkdfSync('sha256', secret, '', 'vazao session id', 32));
    this.#tokenKey = Buffer.from(hkdfSync('sha256', secret, '', 'vazao csrf token', 32));
  }

  create(): string {
    const random = randomBytes(RANDOM_BYTES);
    return Buffer.concat([random, this.#sign(random)]).toString('base64url');
  }

  /** What a store knows of an id; undefined for one that was not made with our secret. */
  hashOf(id: string): Buffer | undefined {
    if (!FORM.test(id)) return undefined;
    const bytes = Buffer.from(id, 'base64url');
    const random = bytes.subarray(0, RANDOM_BYTES);
    return timingSafeEqual(bytes.subarray(RANDOM_BYTES), this.#sign(random))
      ? createHash('sha256').update(random).digest()
      : undefined;
  }

  /** A token that proves to have been given to this session; another at each call, so that compression gives nothing away. */
  createToken(hash: Buffer): string {
    const salt = randomBytes(SIGNATURE_BYTES);
    return Buffer.concat([salt, this.#signToken(hash, salt)]).toString('base64url');
  }

  isToken(hash: Buffer, token: string): boolean {
    if (!TOKEN_FORM.test(token)) return false;
    const bytes = Buffer.from(token, 'base64url');
    const salt = bytes.subarray(0, SIGNATURE_BYTES);
    return timingSafeEqual(bytes.subarray(SIGNATURE_BYTES), this.#signToken(hash, salt));
  }

  #sign(random: Buffer): Buffer {
    return createHmac('sha256', this.#key).update(random).digest().subarray(0, SIGNATURE_BYTES);
  }

  #signToken(hash: Buffer, salt: Buffer): Buffer {
    return createHmac('sha256', this.#tokenKey).update(hash).update(salt).digest().subarray(0, SIGNATURE_BYTES);
  }
}
