import assert from 'node:assert/strict';
import { test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { inOwnMemory } from './own-memory.ts';
import { createRepresentation, createStoredResponse, TEXT_MAX_BYTES } from './stored-response.ts';

const BYTES = TEXT_MAX_BYTES + 1_000;

test('what is kept keeps nothing that was made beside it', () => {
  const cut = Buffer.from('x'.repeat(BYTES));
  assert.ok(cut.buffer.byteLength > 2 * BYTES, 'Node cut it out of a larger piece');
  const stored = createStoredResponse(
    { status: 200, headers: { 'content-type': 'text/plain' }, body: cut },
    [],
    [],
    undefined,
    { position: 0n, token: undefined },
    true,
  );
  const coded = createRepresentation(stored, 'gzip', Buffer.concat([gzipSync(cut), cut]));
  for (const { body } of [stored, coded]) {
    assert.ok(typeof body === 'object');
    assert.equal(body.buffer.byteLength, body.length);
  }
  assert.ok(cut.equals(stored.body as Buffer));
});

test('what has memory of its own is not copied', () => {
  const own = Buffer.allocUnsafeSlow(10);
  assert.equal(inOwnMemory(own), own);
});
