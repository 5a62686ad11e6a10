import assert from 'node:assert/strict';
import { test } from 'node:test';
import { brotliDecompressSync, gunzipSync, zstdDecompressSync } from 'node:zlib';
import { acceptableCodings, CODINGS, encode, isNegotiated } from './content-coding.ts';

test('Accept-Encoding is read as RFC 9110 (12.5.3) says', () => {
  const cases: [field: string | undefined, acceptable: string[]][] = [
    // Its examples.
    ['compress, gzip', ['gzip', 'identity']],
    ['', ['identity']],
    ['*', ['br', 'zstd', 'gzip', 'identity']],
    ['compress;q=0.5, gzip;q=1.0', ['gzip', 'identity']],
    ['gzip;q=1.0, identity; q=0.5, *;q=0', ['gzip', 'identity']],
    // "If no Accept-Encoding header field is in the request, any content coding is considered acceptable".
    [undefined, ['identity']],
    // "acceptable by default unless specifically excluded … either "identity;q=0" or "*;q=0" without a more specific entry".
    ['identity;q=0', []],
    ['*;q=0', []],
    ['*;q=0, identity', ['identity']],
    ['br, identity;q=0', ['br']],
    ['gzip, *;q=0', ['gzip']],
    ['*;q=0.5, gzip;q=0', ['br', 'zstd', 'identity']],
    ['identity, gzip;q=0.5', ['identity', 'gzip']],
    ['identity;q=0.5, gzip;q=0.5', ['gzip', 'identity']],
    // "A recipient SHOULD consider "x-gzip" to be equivalent to "gzip"" (8.4.1.3); names are case-insensitive (8.4.1).
    ['x-gzip', ['gzip', 'identity']],
    ['GZip ; Q=0.3 , BR', ['br', 'gzip', 'identity']],
    // What browsers send.
    ['gzip, deflate, br, zstd', ['br', 'zstd', 'gzip', 'identity']],
    ['gzip, deflate', ['gzip', 'identity']],
    // No weights (12.4.2), so no consent.
    ['gzip;q=2', ['identity']],
    ['gzip;q=0.1234', ['identity']],
    ['gzip;q=x, br;level=3', ['identity']],
    ['gzip;q=0.000', ['identity']],
    ['gzip;q=0.001', ['gzip', 'identity']],
    [',, gzip ,', ['gzip', 'identity']],
    ['constructor, __proto__', ['identity']],
  ];
  for (const [field, acceptable] of cases) {
    assert.deepEqual(acceptableCodings(field), acceptable, String(field));
    assert.deepEqual(acceptableCodings(field), acceptable, `${field}, remembered`);
  }
});

test('many lists that clients make up are read, and not remembered for ever', () => {
  for (let n = 0; n < 1_000; n++)
    assert.deepEqual(acceptableCodings(`gzip, x-${n}${'y'.repeat(n)}`), ['gzip', 'identity']);
});

test('texts are encoded, and what would not shrink, is short, or is not ours to change is not', () => {
  const encoded = [
    'application/json; charset=utf-8',
    'text/html',
    'text/css',
    'image/svg+xml',
    'application/problem+json',
    'application/javascript',
    'application/xml',
    'application/vnd.api+json; x=y',
    'TEXT/PLAIN',
    'application/manifest+json',
    'font/ttf',
  ];
  const asTheyAre = [
    'image/png',
    'video/mp4',
    'application/zip',
    'application/octet-stream',
    'font/woff2',
    'text/event-stream',
    'application/pdf',
    undefined,
    '',
  ];
  for (const type of encoded) assert.ok(isNegotiated(1_024, type, undefined, undefined), type);
  for (const type of asTheyAre) assert.ok(!isNegotiated(100_000, type, undefined, undefined), String(type));
  assert.ok(!isNegotiated(1_023, 'text/html', undefined, undefined));
  assert.ok(!isNegotiated(9_999, 'text/html', 'gzip', undefined));
  assert.ok(!isNegotiated(9_999, 'text/html', undefined, 'public, No-Transform'));
  assert.ok(isNegotiated(9_999, 'text/html', undefined, 'public, max-age=3'));
});

test('each coding comes back to the same bytes', async () => {
  const body = Buffer.from('uma doação e mais uma doação e mais uma doação '.repeat(100));
  const decode = { br: brotliDecompressSync, gzip: gunzipSync, zstd: zstdDecompressSync };
  for (const coding of CODINGS) {
    for (const use of ['kept', 'once'] as const) {
      const encoded = await encode(coding, body, use);
      assert.ok(encoded.length < body.length / 4);
      assert.ok(decode[coding](encoded).equals(body), `${coding}, ${use}`);
    }
  }
});
