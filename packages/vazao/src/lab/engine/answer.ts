/** Judges an answer: its status, its checks, and what a user keeps of it. */
import { brotliDecompressSync, gunzipSync, inflateSync, zstdDecompressSync } from 'node:zlib';
import type { ErrorKind } from '../run-result.ts';
import type { Answer, Step, User } from '../scenario/scenario.ts';
import type { ResponseHead } from './response-parser.ts';

/** Decompressed. */
const TEXT_BYTES_MAX = 64 * 1024 * 1024;
const DECODERS: Readonly<Record<string, (bytes: Buffer, options: { maxOutputLength: number }) => Buffer>> = {
  gzip: gunzipSync,
  deflate: inflateSync,
  br: brotliDecompressSync,
  zstd: zstdDecompressSync,
};

/** Whether a step reads the body. */
export function readsBody(step: Step): boolean {
  return step.expect?.body !== undefined || step.extract !== undefined;
}

/** Returns what is wrong with it. */
export function judgeAnswer(step: Step, head: ResponseHead, body: () => Buffer, user: User): ErrorKind | undefined {
  if (!acceptsStatus(step.expect?.status, head.status)) return 'status';
  if (!readsBody(step)) return undefined;
  const answer = createAnswer(head, body());
  try {
    if (!hasExpectedBody(step.expect?.body, answer)) return 'check';
    for (const [name, extract] of Object.entries(step.extract ?? {})) {
      const value = extract(answer);
      if (value === undefined || value === null) return 'check';
      user.values[name] = value;
    }
    return undefined;
  } catch {
    // Of the scenario's functions: the answer is not what they rely on.
    return 'check';
  }
}

function acceptsStatus(expected: number | readonly number[] | undefined, status: number): boolean {
  if (expected === undefined) return status < 400;
  return typeof expected === 'number' ? status === expected : expected.includes(status);
}

function hasExpectedBody(expected: NonNullable<Step['expect']>['body'], answer: Answer): boolean {
  if (expected === undefined) return true;
  if (typeof expected === 'string') return answer.text().includes(expected);
  if (expected instanceof RegExp) return answer.text().search(expected) >= 0;
  return expected(answer);
}

function createAnswer(head: ResponseHead, bytes: Buffer): Answer {
  let text: string | undefined;
  const answer: Answer = {
    status: head.status,
    headers: head.fields,
    text() {
      text ??= decode(bytes, head.fields.get('content-encoding'));
      return text;
    },
    json: () => JSON.parse(answer.text()),
  };
  return answer;
}

function decode(bytes: Buffer, coding: string | readonly string[] | undefined): string {
  if (coding === undefined || coding === 'identity') return bytes.toString('utf8');
  const decoder = typeof coding === 'string' ? DECODERS[coding.toLowerCase()] : undefined;
  if (!decoder) throw new Error(`An answer with content-encoding ${coding} can't be read.`);
  return decoder(bytes, { maxOutputLength: TEXT_BYTES_MAX }).toString('utf8');
}
