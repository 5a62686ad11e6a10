/**
 * Writes the statements that Kysely and Drizzle generate for a range of queries over shop-schema.sql:
 *
 *   node bench/corpora/generate-builders.ts
 */
import { writeFileSync } from 'node:fs';
import { writeDrizzle } from './drizzle-queries.ts';
import { writeKysely } from './kysely-queries.ts';

for (const [name, statements] of [
  ['kysely', writeKysely()],
  ['drizzle', writeDrizzle()],
] as const) {
  writeFileSync(new URL(`${name}.sql`, import.meta.url), `${statements.join(';\n')};\n`);
  console.log(`${name}: ${statements.length} statements`);
}
