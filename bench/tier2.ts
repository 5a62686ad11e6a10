/**
 * `node bench/tier2.ts`: what the second tier costs and saves. One PostgreSQL, one Redis and one process on this host;
 * medians (and 99th percentiles) of alternating runs, so that what disturbs one way disturbs the others as well.
 *
 * The answer is a list of some 20 KB of JSON that a join and an aggregate make.
 */
import { createHmac, createSecretKey } from 'node:crypto';
import { constants, gunzipSync, gzipSync, zstdCompressSync, zstdDecompressSync } from 'node:zlib';
import pg from 'pg';
import { Breaker } from '../packages/vazao/src/cache/redis/breaker.ts';
import { seal, unseal } from '../packages/vazao/src/cache/redis/envelope.ts';
import { startTestServer } from '../packages/vazao/src/testing/server.ts';
import { SharedHost } from '../packages/vazao/src/testing/shared-host.ts';
import { startRedisServer } from '../packages/vazao/src/torture/parts/redis-server.ts';

const ROUNDS = Number(process.env.VAZAO_BENCH_ROUNDS ?? 300);
const TEXT = `select d.id, d.nome, d.valor, count(c.id)::int as comentarios, md5(d.id::text) || md5(d.nome) as resumo
  from doacoes d left join comentarios c on c.doacao = d.id where d.campanha = 7 group by d.id order by d.id`;

await using server = Object.assign(await startTestServer(), {
  [Symbol.asyncDispose]: async () => server.stop(),
});
await using redis = await startRedisServer();
const pool = new pg.Pool({ connectionString: server.url });
await pool.query(`
  create table doacoes (id int primary key, campanha int, nome text, valor int);
  create table comentarios (id int primary key, doacao int references doacoes);
  insert into doacoes select n, n % 50, 'doador ' || n, n from generate_series(1, 8000) n;
  insert into comentarios select n, 1 + n % 8000 from generate_series(1, 40000) n;
  create index on doacoes (campanha); create index on comentarios (doacao);
  alter table doacoes replica identity full; alter table comentarios replica identity full; analyze;`);
const database = { url: server.url, pool } as never;
const one = await SharedHost.start({ database, redisUrl: redis.url, secret: 'secret', callTimeoutMs: 1_000 });
const other = await SharedHost.start({ database, redisUrl: redis.url, secret: 'secret', callTimeoutMs: 1_000 });
const plain = await SharedHost.start({ database, redisUrl: redis.url, callTimeoutMs: 1_000 });
plain.tier?.close();
plain.tier = undefined;
const relay = async (): Promise<SharedHost> => {
  for (;;) {
    const leader = [one, other, plain].find(({ relay }) => relay?.status.epoch !== undefined);
    if (leader) return leader;
    await new Promise(setImmediate);
  }
};
const leader = await relay();

const took: Record<string, number[]> = {};
async function time<T>(name: string, work: () => Promise<T> | T): Promise<T> {
  const begin = performance.now();
  const result = await work();
  took[name] ??= [];
  took[name].push(performance.now() - begin);
  return result;
}

await one.read(TEXT);
while ((one.tier?.figures().stored ?? 0) === 0) await new Promise((resolve) => setTimeout(resolve, 5));
const body = (await one.read(TEXT)).text;
const expect = (from: string, wanted: string): void => {
  if (from !== wanted) throw new Error(`answered from ${from}, not from ${wanted}`);
};
for (let round = 0; round < ROUNDS; round++) {
  other.cache.purge(TEXT);
  plain.cache.purge(TEXT);
  expect((await time('second tier', () => other.read(TEXT))).from, 'second');
  expect((await time('first tier', () => other.read(TEXT))).from, 'first');
  expect((await time('computed, no second tier', () => plain.read(TEXT))).from, 'computed');
  const miss = `${TEXT} limit ${500 + round}`;
  const { stored } = one.tier?.figures() ?? { stored: 0 };
  expect((await time('computed after a miss of the second tier', () => one.read(miss))).from, 'computed');
  const begin = performance.now();
  while ((one.tier?.figures().stored ?? 0) === stored) {
    if (performance.now() - begin > 1_000) throw new Error('not stored');
    await new Promise(setImmediate);
  }
  took['stored, in the background'] ??= [];
  took['stored, in the background'].push(performance.now() - begin);
}

for (let round = 0; round < ROUNDS; round++) {
  const told = Promise.withResolvers<bigint>();
  const off = leader.feed.on('commit', ({ position }) => told.resolve(position));
  await pool.query('update doacoes set valor = valor + 1 where id = $1', [1 + round]);
  const position = await told.promise;
  off();
  await time('relay, from the feed to Redis', async () => {
    while ((leader.relay?.status.position ?? 0n) < position) await new Promise(setImmediate);
  });
}

const buffer = Buffer.from(body);
const params = (level: number) => ({ params: { [constants.ZSTD_c_compressionLevel]: level } });
const packed = { gzip: gzipSync(buffer, { level: 1 }), zstd: zstdCompressSync(buffer, params(1)) };
const breaker = new Breaker({ failuresMax: 3, probeMinMs: 200, probeMaxMs: 5_000, probe: async () => {} });
const key = createSecretKey(Buffer.alloc(32, 1));
const sealed = await seal({ json: {}, value: buffer }, 'name', key);
for (let round = 0; round < ROUNDS * 10; round++) {
  await time('gzip 1, pack', () => gzipSync(buffer, { level: 1 }));
  await time('zstd 1, pack', () => zstdCompressSync(buffer, params(1)));
  await time('zstd 3, pack', () => zstdCompressSync(buffer, params(3)));
  await time('gzip, unpack', () => gunzipSync(packed.gzip));
  await time('zstd, unpack', () => zstdDecompressSync(packed.zstd));
  await time('HMAC of the packed bytes', () => createHmac('sha256', key).update(packed.zstd).digest());
  await time('HMAC of the plain bytes', () => createHmac('sha256', key).update(buffer).digest());
  await time('seal', () => seal({ json: {}, value: buffer }, 'name', key));
  await time('unseal', () => unseal(sealed, 'name', key));
  await time('nothing', () => Promise.resolve(1));
  await time('nothing, through the breaker', () => breaker.run(() => Promise.resolve(1)));
}

console.log(
  `Node ${process.versions.node}; an answer of ${buffer.length} bytes; gzip 1: ${packed.gzip.length}, zstd 1: ${packed.zstd.length}, zstd 3: ${zstdCompressSync(buffer, params(3)).length}`,
);
console.log('| | median µs | p99 µs |\n|---|---|---|');
for (const [name, times] of Object.entries(took)) {
  const sorted = times.sort((left, right) => left - right);
  const at = (share: number): string => ((sorted[Math.floor(sorted.length * share)] as number) * 1_000).toFixed(1);
  console.log(`| ${name} | ${at(0.5)} | ${at(0.99)} |`);
}
for (const host of [one, other, plain]) await host[Symbol.asyncDispose]();
breaker[Symbol.dispose]();
await pool.end();
