/**
 * `npm run guide:prisma`: the guide for Prisma, against the packed tarball. By hand, because Prisma takes 300 MB. Where its
 * binaries can't be fetched, PRISMA_SCHEMA_ENGINE_BINARY=/bin/true: the engine is for migrations, and `generate` does not run it.
 */
import { createTestDatabase } from '../packages/vazao/src/testing/database.ts';
import { startTestServer } from '../packages/vazao/src/testing/server.ts';
import { createBooks, FINDS_BOOKS, readGuide, runGuide } from './guide.ts';
import { installPackedPackage } from './packed-package.ts';

const VERSION = '7.10.0';

const server = await startTestServer();
try {
  const database = await createTestDatabase({ serverUrl: server.url });
  await createBooks(database);
  using packed = installPackedPackage();
  packed.install(...['prisma', '@prisma/client', '@prisma/adapter-pg'].map((name) => `${name}@${VERSION}`));
  packed.writeFile('schema.prisma', readGuide('prisma.md', 'prisma'));
  packed.writeFile('prisma.config.ts', "export default { schema: 'schema.prisma' };");
  packed.run('npx', ['prisma', 'generate']);
  await runGuide(packed, 'prisma.md', database, FINDS_BOOKS);
  await database[Symbol.asyncDispose]();
  process.stdout.write('The guide for Prisma does what it says.\n');
} finally {
  await server.stop();
}
