/**
 * What the triggers of the source `outbox` cost the writer: statements a second of several clients, without triggers, with
 * them, and with NOTIFY.
 *
 *   npx node bench/outbox.ts
 */
import pg from 'pg';
import { createFeed } from '../packages/vazao/src/feed/index.ts';
import { startTestServer } from '../packages/vazao/src/testing/server.ts';

const CLIENTS = 8;
const SECONDS = 3;

const server = await startTestServer({ wal_level: 'replica' });
const admin = new pg.Pool({ connectionString: server.url, max: 2 });
admin.on('error', () => {}); // the server is stopped under it
await admin.query(`
  create table rows (id int primary key, v int not null, text text);
  insert into rows select i, 0, repeat('x', 100) from generate_series(1, 10000) i;
  create table parts (id int primary key, v int not null, text text) partition by range (id);
  create table parts_1 partition of parts for values from (0) to (1000000);
  insert into parts select i, 0, repeat('x', 100) from generate_series(1, 10000) i`);

async function measure(sql: string): Promise<number> {
  const clients = await Promise.all(
    Array.from({ length: CLIENTS }, async () => {
      const client = new pg.Client(server.url);
      await client.connect();
      return client;
    }),
  );
  const end = performance.now() + SECONDS * 1_000;
  let count = 0;
  await Promise.all(
    clients.map(async (client, index) => {
      for (let step = 0; performance.now() < end; step++) {
        await client.query({ name: 'write', text: sql, values: [1 + ((index * 1_250 + step) % 10_000)] });
        count++;
      }
      await client.end();
    }),
  );
  return count / SECONDS;
}

const STATEMENTS = {
  'update of one row': 'update rows set v = v + 1 where id = $1',
  'update of one row of a partition': 'update parts set v = v + 1 where id = $1',
};

for (const [name, sql] of Object.entries(STATEMENTS)) {
  process.stdout.write(`${name}: ${Math.round(await measure(sql))}/s without triggers`);
  for (const notify of [false, true]) {
    await using feed = createFeed({ connection: server.url, source: 'outbox', outbox: { notify } });
    await feed.start();
    process.stdout.write(`, ${Math.round(await measure(sql))}/s with${notify ? ' NOTIFY' : ''}`);
  }
  await admin.query('drop schema vazao cascade');
  process.stdout.write('\n');
}
await admin.end();
await server.stop();
