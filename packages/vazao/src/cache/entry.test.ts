import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';

const MEMORY = join(import.meta.dirname, '../../../../bench/memory.ts');

// Shared text (statements, templates, names of columns) is counted for nobody: there are few, and many entries.
for (const shape of ['book-keeping', 'one row', 'a row and a list', '20 rows by IN', 'a whole table']) {
  test(`what is counted for an entry is what it takes of the heap, within 30 %: ${shape}`, async () => {
    const { stdout } = await promisify(execFile)(process.execPath, ['--expose-gc', MEMORY, shape]);
    const { measured, counted } = JSON.parse(stdout);
    const ratio = counted / measured;
    assert.ok(ratio > 0.7 && ratio < 1.3, `measured ${measured}, counted ${counted}`);
  });
}
