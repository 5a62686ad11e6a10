import { type Argon2Parameters, argon2, randomBytes, timingSafeEqual } from 'node:crypto';
import { promisify } from 'node:util';
import { Problema } from './errors.ts';

/** OWASP's first choice for argon2id with 19 MiB. */
const MEMORY_KIB = 19_456;
const PASSES = 2;
const PARALLELISM = 1;
const SALT_BYTES = 16;
const HASH_BYTES = 32;

/** A hash holds a thread of libuv's pool (four by default) and 19 MiB; DNS and files need the other threads. */
const RUNNING_MAX = 2;
/** At some 35 ms a hash, the last of the queue waits about a second. */
const WAITING_MAX = 64;

const PHC = /^\$argon2id\$v=19\$m=(\d{1,7}),t=(\d{1,2}),p=(\d{1,2})\$([A-Za-z0-9+/]{11,86})\$([A-Za-z0-9+/]{22,171})$/;

/** Of a random password that nobody knows: what the log-in of an unknown user is compared with, to cost the same. */
const DUMMY_HASH = '$argon2id$v=19$m=19456,t=2,p=1$7dJ0Iy3bqLx8oUXf4mZQ2A$Vb0m1oR8p1dC5cS0nq3e7uWl6kYt2jXg9hZfQa4BxNs';

/** Hashes to the PHC format. The salt is given only where the result must be the same every time (development seed). */
export async function hashSenha(senha: string, salt: Buffer = randomBytes(SALT_BYTES)): Promise<string> {
  const hash = await derive(senha, salt, MEMORY_KIB, PASSES, PARALLELISM, HASH_BYTES);
  return `$argon2id$v=19$m=${MEMORY_KIB},t=${PASSES},p=${PARALLELISM}$${encode(salt)}$${encode(hash)}`;
}

/** Compares in constant time; an unknown user (no hash) takes as long as a wrong password. */
export async function isSenhaCerta(senha: string, senhaHash: string | undefined): Promise<boolean> {
  const parts = PHC.exec(senhaHash ?? DUMMY_HASH);
  if (!parts) return false;
  const [, memory, passes, parallelism, salt = '', expected = ''] = parts;
  const wanted = Buffer.from(expected, 'base64');
  const hash = await derive(
    senha,
    Buffer.from(salt, 'base64'),
    Number(memory),
    Number(passes),
    Number(parallelism),
    wanted.length,
  );
  return timingSafeEqual(hash, wanted) && senhaHash !== undefined;
}

const argon2id = promisify((parameters: Argon2Parameters, done: (error: Error | null, hash: Buffer) => void) =>
  argon2('argon2id', parameters, done),
);

let running = 0;
const waiting: (() => void)[] = [];

/** Bounded for the whole process: log-ins beyond the queue are refused rather than left to pile up. */
async function derive(
  senha: string,
  nonce: Buffer,
  memory: number,
  passes: number,
  parallelism: number,
  tagLength: number,
): Promise<Buffer> {
  if (running >= RUNNING_MAX) {
    if (waiting.length >= WAITING_MAX) throw new Problema('indisponivel', 'Há identificações demais em andamento.');
    await new Promise<void>((resolve) => waiting.push(resolve)); // the one that ends hands over its place
  } else {
    running++;
  }
  try {
    return await argon2id({ message: senha.normalize('NFC'), nonce, memory, passes, parallelism, tagLength });
  } finally {
    const next = waiting.shift();
    if (next) next();
    else running--;
  }
}

function encode(bytes: Buffer): string {
  return bytes.toString('base64').replace(/=+$/, '');
}
