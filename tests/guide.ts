/** Runs the programs of `docs/guides/` in the folder of the packed package. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setReplicaIdentityFull } from '../packages/vazao/src/feed/index.ts';
import type { TestDatabase } from '../packages/vazao/src/testing/database.ts';
import { type PackedPackage, ROOT } from './packed-package.ts';

/** What the guides' programs read and write. */
const TABLE = 'create table books (id int primary key, title text not null, price numeric(8, 2) not null)';
const ROWS = `truncate books; insert into books select n, 'Book ' || n, n from generate_series(1, 10) n;`;

/** What the guides for values promise, in whatever way they ask the database. */
export const FINDS_BOOKS: string = `
  assert.deepEqual(await guide.findBook(1), { title: 'Book 1', price: '1.00' });
  await guide.setPrice(1, '9.90');
  assert.equal((await guide.findBook(1)).price, '9.90');
  await foreign.query("update books set title = 'First' where id = 1");
  await until(() => guide.findBook(1), ({ title }) => title === 'First');`;

/** The program of a guide: its first block of code in that language. */
export function readGuide(name: string, language = 'js'): string {
  const text = readFileSync(join(ROOT, 'docs/guides', name), 'utf8');
  const program = new RegExp(`\`\`\`${language}\\n([\\s\\S]*?)\`\`\``).exec(text)?.[1];
  if (program === undefined) throw new Error(`docs/guides/${name} has no block of ${language}.`);
  return program;
}

export async function createBooks(database: TestDatabase): Promise<void> {
  await database.pool.query(TABLE);
  const client = await database.client();
  await setReplicaIdentityFull(client, ['books']);
  await client.end();
}

/**
 * Runs the guide's program with statements behind it; throws when they fail. `foreign` is a plain pool, somebody else's hand;
 * `until(read, isTrue)` reads again until it is, bounded.
 */
export async function runGuide(
  packed: PackedPackage,
  guide: string,
  database: TestDatabase,
  statements: string,
): Promise<void> {
  await database.pool.query(ROWS);
  packed.writeFile('guide.js', readGuide(guide));
  packed.writeFile(
    'check.js',
    `import assert from 'node:assert/strict';
     import { setTimeout as delay } from 'node:timers/promises';
     import pg from 'pg';
     import * as guide from './guide.js';
     const foreign = new pg.Pool({ connectionString: process.env.DATABASE_URL });
     const until = async (read, isTrue) => {
       const deadline = Date.now() + 15_000;
       for (;;) {
         const value = await read();
         if (isTrue(value)) return value;
         assert.ok(Date.now() < deadline, JSON.stringify(value));
         await delay(10);
       }
     };
     ${statements}
     await foreign.end();
     await guide.close();`,
  );
  packed.run(process.execPath, ['check.js'], { DATABASE_URL: database.url });
}
