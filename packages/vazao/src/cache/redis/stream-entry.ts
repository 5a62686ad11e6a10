/**
 * One message of a fan-out, as it stands in the stream: who wrote it, which of its messages it is, and a signature over both and the
 * bytes. So bytes that were changed, put elsewhere, or left out count as a hole, and nothing is unpacked that a stranger wrote.
 */
import { createHmac, timingSafeEqual } from 'node:crypto';
import type { StreamEntry } from './connection.ts';

/** A message of one incarnation: one term, or less, of one writer. */
export interface StreamMessage {
  readonly incarnation: string;
  /** 1, 2, 3 … within the incarnation. */
  readonly number: number;
  readonly body: Uint8Array;
}

/** @param secret - all hosts have the same */
export function signMessage({ incarnation, number, body }: StreamMessage, stream: string, secret: string): Buffer {
  return createHmac('sha256', secret).update(`${stream}\0${incarnation}\0${number}\0`).update(body).digest();
}

/** Undefined for anything that was not written with the secret. */
export function parseMessage({ fields }: StreamEntry, stream: string, secret: string): StreamMessage | undefined {
  const [, incarnation, , number, , signature, , body] = fields;
  if (!incarnation || !number || !signature || !body) return undefined;
  const message = { incarnation: incarnation.toString(), number: Number(number.toString()), body };
  const expected = signMessage(message, stream, secret);
  return signature.length === expected.length && timingSafeEqual(signature, expected) ? message : undefined;
}
