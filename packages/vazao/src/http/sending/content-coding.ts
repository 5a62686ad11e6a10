/** Content codings: which ones a client takes (RFC 9110, 12.5.3), and which answers are worth encoding. */
import { brotliCompress, constants, gzip, zstdCompress } from 'node:zlib';

/** The codings that we make, the smallest result first. */
export const CODINGS = ['br', 'zstd', 'gzip'] as const;
export type Coding = (typeof CODINGS)[number];

/** The codings that an answer may have for a client, best first. `identity` stands where the client takes it. */
export type Acceptable = readonly (Coding | 'identity')[];

/** Below this a coding saves less than its fields cost, and no packet. */
export const ENCODED_MIN_BYTES = 1_024;

/** Clients send one of a few lists; whoever makes up others must not fill the memory. */
const REMEMBERED_MAX = 200;
const REMEMBERED_LENGTH_MAX = 200;
const remembered = new Map<string, Acceptable>();

const ONLY_IDENTITY: Acceptable = ['identity'];
/** `;q=0.5`, as RFC 9110 (12.4.2) writes weights. */
const WEIGHT = /^q=(0(?:\.\d{0,3})?|1(?:\.0{0,3})?)$/i;

/** @param field - all `Accept-Encoding` of the request, joined by commas; undefined when there is none */
export function acceptableCodings(field: string | undefined): Acceptable {
  // Without the field anything may be sent; a client that understands a coding says so.
  if (field === undefined) return ONLY_IDENTITY;
  let acceptable = remembered.get(field);
  if (acceptable) return acceptable;
  acceptable = parse(field);
  if (field.length <= REMEMBERED_LENGTH_MAX) {
    if (remembered.size >= REMEMBERED_MAX) remembered.clear();
    remembered.set(field, acceptable);
  }
  return acceptable;
}

function parse(field: string): Acceptable {
  const weights = new Map<string, number>();
  for (const member of field.toLowerCase().split(',')) {
    const [name = '', ...parameters] = member.split(';').map((part) => part.trim());
    if (!name) continue;
    // What can't be read is not taken for consent.
    const weight = parameters.length === 0 ? '1' : (WEIGHT.exec(parameters[0] as string)?.[1] ?? '0');
    const coding = name === 'x-gzip' ? 'gzip' : name;
    weights.set(coding, Math.max(weights.get(coding) ?? 0, Number(weight)));
  }
  const others = weights.get('*');
  const weighed: { readonly coding: Coding | 'identity'; readonly weight: number }[] = [];
  for (const coding of CODINGS) weighed.push({ coding, weight: weights.get(coding) ?? others ?? 0 });
  // Acceptable unless it is excluded; after all that is named, if it is not.
  weighed.push({ coding: 'identity', weight: weights.get('identity') ?? others ?? 0.0001 });
  return weighed
    .filter(({ weight }) => weight > 0)
    .sort((a, b) => b.weight - a.weight)
    .map(({ coding }) => coding);
}

/** What does not shrink (images, video, archives, most fonts) is sent as it is, and so are streams of events. */
const COMPRESSIBLE =
  /^(?:text\/(?!event-stream\b)|application\/(?:[\w.-]+\+)?(?:json|xml|text|yaml|javascript)\b|application\/(?:x-javascript|x-ndjson|ndjson|graphql|geo\+json|wasm|rtf|toml|sql|x-sh|x-httpd-php|vnd\.ms-fontobject)\b|image\/(?:svg\+xml|bmp|x-icon|vnd\.microsoft\.icon)\b|font\/(?:ttf|otf|collection)\b|[\w.-]+\/[\w.-]+\+(?:json|xml|text)\b)/i;

/** Whether an answer comes in several codings: by its size and fields, never by who asks. */
export function isNegotiated(
  bytes: number,
  contentType: string | undefined,
  contentEncoding: string | undefined,
  cacheControl: string | undefined,
): boolean {
  if (bytes < ENCODED_MIN_BYTES || contentEncoding !== undefined) return false;
  // Nobody is to change the bytes, and so we don't.
  if (cacheControl !== undefined && /\bno-transform\b/i.test(cacheControl)) return false;
  return contentType !== undefined && COMPRESSIBLE.test(contentType);
}

/**
 * For a list of 22 KB in JSON: gzip at level 6 takes 1 ms and leaves 2.4 KB, Brotli at 6 takes 1.3 ms and leaves 1.8 KB.
 * Brotli at 11 would leave 1.5 KB after 87 ms, which an answer that the next write ends is not worth. What is sent once gets
 * Brotli at 4 (0.4 ms, 2.0 KB) or Zstandard at 3 (0.5 ms, 1.9 KB).
 */
const LEVELS = {
  kept: { gzip: 6, br: 6, zstd: 9 },
  once: { gzip: 6, br: 4, zstd: 3 },
} as const;

/** Encodes in one of the threads that libuv has for it. @param use - whether the result is kept, or sent once */
export function encode(coding: Coding, body: Buffer, use: keyof typeof LEVELS): Promise<Buffer> {
  const level = LEVELS[use][coding];
  return new Promise((resolve, reject) => {
    const done = (error: Error | null, encoded: Buffer): void => {
      if (error) reject(error);
      else resolve(encoded);
    };
    if (coding === 'gzip') gzip(body, { level }, done);
    else if (coding === 'zstd') zstdCompress(body, { params: { [constants.ZSTD_c_compressionLevel]: level } }, done);
    else {
      const params = { [constants.BROTLI_PARAM_QUALITY]: level, [constants.BROTLI_PARAM_SIZE_HINT]: body.length };
      brotliCompress(body, { params }, done);
    }
  });
}
