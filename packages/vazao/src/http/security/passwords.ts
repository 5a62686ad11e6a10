/**
 * Passwords: argon2id by Node's own `crypto`, as PHC strings, a bounded number at a time.
 *
 * A hash holds a thread of libuv's pool (four by default, which DNS, files and compression need too) and all of its memory,
 * so a thousand log-ins at once would take 19 GB. Here a few run, some wait, and the rest are refused at once.
 */
import { type Argon2Parameters, argon2, randomBytes, timingSafeEqual } from 'node:crypto';
import { promisify } from 'node:util';
import { SecurityError } from './errors.ts';

export interface PasswordsOptions {
  /** Memory of one hash, in KiB. @defaultValue 19,456 (19 MiB), with two passes a choice of OWASP's for argon2id */
  readonly memoryKiB?: number | undefined;
  /** @defaultValue 2 */
  readonly passes?: number | undefined;
  /** Lanes of one hash. @defaultValue 1 */
  readonly parallelism?: number | undefined;
  /** How many run at once. @defaultValue 2 */
  readonly runningMax?: number | undefined;
  /** How many wait for their turn; those beyond are refused. @defaultValue 64, of which the last waits about a second */
  readonly waitingMax?: number | undefined;
}

export interface PasswordCheck {
  readonly matches: boolean;
  /** It matches, and its hash is cheaper than those made now: store a new one while the password is at hand. */
  readonly needsRehash: boolean;
}

export interface Passwords {
  /**
   * The PHC string of a password: `$argon2id$v=19$m=19456,t=2,p=1$salt$hash`.
   * @param salt - only where the result must be the same every time, as in a seed for development; at least 8 bytes
   */
  hash(password: string, salt?: Buffer): Promise<string>;
  /** Compares in constant time. Without a hash, for a user whom nobody knows, it takes as long and does not match. */
  verify(password: string, hash: string | undefined): Promise<PasswordCheck>;
}

interface Cost {
  readonly memory: number;
  readonly passes: number;
  readonly parallelism: number;
}

const SALT_BYTES = 16;
const HASH_BYTES = 32;
/** Nobody's password is longer, and normalising a text costs by its length. */
const LENGTH_MAX = 1_024;
/** A stored hash that claims to need more was not made here. */
const MEMORY_MAX_KIB = 1024 * 1024;
/** A hash below this is worth little; OWASP's smallest memory is 7 MiB. */
const MEMORY_MIN_KIB = 7_168;
const NO_MATCH: PasswordCheck = { matches: false, needsRehash: false };

const PHC = /^\$argon2id\$v=19\$m=(\d{1,7}),t=(\d{1,2}),p=(\d{1,2})\$([A-Za-z0-9+/]{11,86})\$([A-Za-z0-9+/]{22,171})$/;

const argon2id = promisify((parameters: Argon2Parameters, done: (error: Error | null, hash: Buffer) => void) =>
  argon2('argon2id', parameters, done),
);

/**
 * One for the whole process: its bounds are those of the process. Its methods throw {@link SecurityError}:
 * `ERR_SECURITY_PASSWORDS_BUSY` (503) when too many wait, `ERR_SECURITY_PASSWORD_LENGTH` when one to be hashed is too long.
 */
export function createPasswords(options: PasswordsOptions = {}): Passwords {
  const { memoryKiB = 19_456, passes = 2, parallelism = 1, runningMax = 2, waitingMax = 64 } = options;
  const cost: Cost = { memory: memoryKiB, passes, parallelism };
  assertWhole('memoryKiB', memoryKiB, MEMORY_MIN_KIB, MEMORY_MAX_KIB);
  assertWhole('passes', passes, 1, 99);
  assertWhole('parallelism', parallelism, 1, 16);
  assertWhole('runningMax', runningMax, 1, 64);
  assertWhole('waitingMax', waitingMax, 0, 10_000);
  const take = createTurns(runningMax, waitingMax);
  const derive = async (password: string, nonce: Buffer, by: Cost, tagLength: number): Promise<Buffer> => {
    using _turn = await take();
    return await argon2id({ message: password.normalize('NFC'), nonce, tagLength, ...by });
  };
  // Of no password: what an unknown user's log-in is compared with, to cost the same. Nothing is known to match it.
  const nobodys = format(cost, randomBytes(SALT_BYTES), randomBytes(HASH_BYTES));
  return {
    async hash(password, salt = randomBytes(SALT_BYTES)) {
      if (password.length > LENGTH_MAX) {
        throw new SecurityError(
          'ERR_SECURITY_PASSWORD_LENGTH',
          `A password may have ${LENGTH_MAX} characters at most. Let the schema of the route refuse longer ones.`,
        );
      }
      return format(cost, salt, await derive(password, salt, cost, HASH_BYTES));
    },
    async verify(password, hash) {
      const parts = parse(hash ?? nobodys);
      if (!parts || password.length > LENGTH_MAX) return NO_MATCH;
      const found = await derive(password, parts.salt, parts.cost, parts.hash.length);
      const matches = timingSafeEqual(found, parts.hash);
      return { matches, needsRehash: matches && isCheaper(parts, cost) };
    },
  };
}

/** A turn is given back by disposing of it; the one that waits longest gets it. */
function createTurns(runningMax: number, waitingMax: number): () => Promise<Disposable> {
  let running = 0;
  const waiting: (() => void)[] = [];
  const turn = (): Disposable => {
    let isOver = false;
    return {
      [Symbol.dispose]() {
        if (isOver) return;
        isOver = true;
        const next = waiting.shift();
        if (next) next();
        else running--;
      },
    };
  };
  return async () => {
    if (running < runningMax) {
      running++;
      return turn();
    }
    if (waiting.length >= waitingMax) {
      throw new SecurityError(
        'ERR_SECURITY_PASSWORDS_BUSY',
        `${runningMax} passwords are being hashed and ${waitingMax} wait. Try again in a few seconds.`,
      );
    }
    await new Promise<void>((resolve) => waiting.push(resolve));
    return turn();
  };
}

interface Parts {
  readonly cost: Cost;
  readonly salt: Buffer;
  readonly hash: Buffer;
}

function parse(text: string): Parts | undefined {
  const [, memory, passes, parallelism, salt = '', hash = ''] = PHC.exec(text) ?? [];
  const cost = { memory: Number(memory), passes: Number(passes), parallelism: Number(parallelism) };
  if (
    !(cost.memory >= 8 * cost.parallelism && cost.memory <= MEMORY_MAX_KIB && cost.passes > 0 && cost.parallelism > 0)
  )
    return undefined;
  return { cost, salt: Buffer.from(salt, 'base64'), hash: Buffer.from(hash, 'base64') };
}

function format({ memory, passes, parallelism }: Cost, salt: Buffer, hash: Buffer): string {
  return `$argon2id$v=19$m=${memory},t=${passes},p=${parallelism}$${encode(salt)}$${encode(hash)}`;
}

function encode(bytes: Buffer): string {
  return bytes.toString('base64').replace(/=+$/, '');
}

/** What it costs to try a password is memory times passes; shorter salts and hashes are older ones, too. */
function isCheaper({ cost, salt, hash }: Parts, now: Cost): boolean {
  return cost.memory * cost.passes < now.memory * now.passes || salt.length < SALT_BYTES || hash.length < HASH_BYTES;
}

function assertWhole(name: string, value: number, min: number, max: number): void {
  if (Number.isInteger(value) && value >= min && value <= max) return;
  throw new SecurityError(
    'ERR_SECURITY_OPTIONS',
    `createPasswords: ${name} is ${value}; it may be a whole number from ${min} to ${max}.`,
  );
}
