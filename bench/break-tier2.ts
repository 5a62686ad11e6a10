/**
 * Breaks each rule of the second tier once, and tells which tests notice:
 *
 *   npx node bench/break-tier2.ts [name …]
 *
 * A rule is broken by a replacement in the source, made by a hook as the module is loaded; the product knows nothing of it.
 */
import { spawnSync } from 'node:child_process';
import { registerHooks } from 'node:module';
import { join } from 'node:path';

interface Mutation {
  readonly name: string;
  readonly file: string;
  readonly from: string;
  readonly to: string;
}

const MUTATIONS: readonly Mutation[] = [
  {
    name: 'answers of any epoch',
    file: 'functions.ts',
    from: 'found[2] == meta[1]',
    to: 'true',
  },
  {
    name: 'ring not tried',
    file: 'second-tier.ts',
    from: 'const validAt = laterOf(position, relayed);',
    to: 'const validAt = 1n << 95n;',
  },
  {
    name: 'missing tag is no change',
    file: 'functions.ts',
    from: 'if not positions[i] or positions[i] > position then return false end',
    to: 'if positions[i] and positions[i] > position then return false end',
  },
  { name: 'tags not compared', file: 'functions.ts', from: "if newer then return 'newer' end", to: '' },
  {
    name: 'tags compared on reading alone not',
    file: 'functions.ts',
    from: 'if not positions[i] or positions[i] > position then return false end',
    to: 'if not positions[i] then return false end',
  },
  {
    name: 'new tag without a position',
    file: 'functions.ts',
    from: 'positions[i] = meta[3]\n',
    to: "redis.call('SET', names[i], '000000000000000000000000', 'PX', tag_ms) positions[i] = '000000000000000000000000'\n",
  },
  {
    name: 'stored from before the epoch',
    file: 'functions.ts',
    from: 'if position < meta[2] then',
    to: 'if false then',
  },
  {
    name: 'stored in any epoch',
    file: 'functions.ts',
    from: "if meta[1] ~= epoch then return 'epoch' end\n  if position",
    to: 'if position',
  },
  { name: 'no fencing', file: 'functions.ts', from: 'return known and known > term', to: 'return false' },
  { name: 'no compare and set', file: 'functions.ts', from: 'if meta[2] ~= previous then', to: 'if false then' },
  {
    name: 'relayed in any epoch',
    file: 'functions.ts',
    from: "if meta[1] ~= epoch then return 'epoch' end\n  if meta[2]",
    to: 'if meta[2]',
  },
  {
    name: 'taken over without the commits between',
    file: 'commit-ring.ts',
    from: 'this.#coveredFrom !== undefined && this.#coveredFrom <= position',
    to: 'true',
  },
  {
    name: 'gap of the feed unnoticed',
    file: 'relay.ts',
    from: "feed.on('epoch', () => this.#doubt())",
    to: "feed.on('epoch', () => {})",
  },
  {
    name: 'old values without tags',
    file: 'tags.ts',
    from: "...('old' in change ? [change.old] : [])",
    to: "...('old' in change && change.kind === 'delete' ? [change.old] : [])",
  },
  { name: 'no tag of the whole table', file: 'tags.ts', from: 'tags.add(whole(oid));\n    return;', to: 'return;' },
  {
    name: 'no tag of terms without an equality',
    file: 'tags.ts',
    from: 'tags.add(unpinned(oid));\n  const',
    to: 'const',
  },
];

const chosen = process.env.VAZAO_MUTATION;
if (chosen !== undefined) mutate(MUTATIONS.find(({ name }) => name === chosen) as Mutation);
else if (import.meta.main) runAll(process.argv.slice(2));

function mutate({ file, from, to }: Mutation): void {
  registerHooks({
    load(url, context, nextLoad) {
      const loaded = nextLoad(url, context);
      if (!url.endsWith(`/cache/redis/${file}`)) return loaded;
      const source = String(loaded.source);
      if (!source.includes(from))
        throw new Error(`${file} has no ${JSON.stringify(from)} any more: mend the mutation.`);
      return { ...loaded, source: source.replace(from, to) };
    },
  });
}

function runAll(names: readonly string[]): void {
  const folder = join(import.meta.dirname, '../packages/vazao/src/cache/redis');
  let missed = 0;
  for (const { name } of MUTATIONS.filter((one) => names.length === 0 || names.includes(one.name))) {
    const noticed = ['functions', 'second-tier', 'second-tier.property'].filter((test) => {
      for (let attempt = 0; attempt < (test === 'second-tier.property' ? 3 : 1); attempt++) {
        const words = ['--import', import.meta.filename, '--test', join(folder, `${test}.test.ts`)];
        const env = { ...process.env, VAZAO_MUTATION: name };
        if (spawnSync(process.execPath, words, { env, stdio: 'ignore' }).status !== 0) return true;
      }
      return false;
    });
    if (noticed.length === 0) missed++;
    console.log(`${name}: ${noticed.join(', ') || 'NOT NOTICED'}`);
  }
  process.exitCode = missed === 0 ? 0 : 1;
}
