/** docs/security.md: each requirement once, with a test that is there, or an honest word. */
import assert from 'node:assert/strict';
import { existsSync, globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';

const ROOT = join(import.meta.dirname, '..');
const text = readFileSync(join(ROOT, 'docs/security.md'), 'utf8');
const rows = [...text.matchAll(/^\| v5\.0\.0-(\d+\.\d+\.\d+) \| ([^|]+) \| ([^|]+) \| (.+) \|$/gm)].map(
  ([, id = '', level = '', asks = '', shown = '']) => ({ id, level, asks, shown }),
);

test('every requirement stands there once, with its level and its state', () => {
  assert.ok(rows.length > 60);
  assert.equal(new Set(rows.map(({ id }) => id)).size, rows.length);
  assert.equal(rows.length, [...text.matchAll(/^\| v5/gm)].length, 'a row is not written as the others');
  for (const { id, level, asks, shown } of rows) {
    assert.match(level, /^[12]$/, id);
    assert.ok(asks.length > 5, id);
    assert.match(shown, /^(`[\w/.-]+\.test\.ts`, "[^"]+"$|(open|documented|application's)\b)/, id);
  }
});

test('every test that the document names exists under its title', () => {
  const named = rows.flatMap(({ id, shown }) => {
    const [, file, title] = /^`([^`]+)`, "([^"]+)"$/.exec(shown) ?? [];
    return file && title ? [{ id, file, title }] : [];
  });
  assert.ok(named.length > 40);
  for (const { id, file, title } of named) {
    const path = join(ROOT, file);
    assert.ok(existsSync(path), `${id}: there is no ${file}`);
    const titles = [...readFileSync(path, 'utf8').matchAll(/\b(?:test|it)\(\s*(['"`])((?:\\.|(?!\1).)*)\1/g)].map(
      ([, , found = '']) => found.replaceAll('\\', '').replace(/ \(VAZAO_SEED=.*/, ''),
    );
    assert.ok(titles.includes(title), `${id}: ${file} has no test "${title}"`);
  }
});

test('every key that is derived in the sources is listed', () => {
  const sources = globSync('packages/vazao/src/**/*.ts', { cwd: ROOT }).map((file) =>
    readFileSync(join(ROOT, file), 'utf8'),
  );
  // The purpose stands in the call: `hkdfSync('sha256', secret, '', 'vazao session id', 32)`, `hash('sha256', `vazao tier …`)`.
  const derived = sources.flatMap((source) => [
    ...[...source.matchAll(/\bhkdfSync\(/g)].map(
      ({ index }) => /['`](vazao [^'`$]*?) ?(?:\$|['`])/.exec(source.slice(index))?.[1],
    ),
    ...[...source.matchAll(/createSecretKey\(hash\('sha256', `(vazao \w+)/g)].map(([, purpose]) => purpose),
  ]);
  assert.ok(derived.length >= 6, String(derived));
  const keys = text.slice(text.indexOf('## Keys'), text.indexOf('## Logs'));
  for (const purpose of derived) assert.match(keys, new RegExp(`^\\| \`${purpose}( …)?\``, 'm'));
});
