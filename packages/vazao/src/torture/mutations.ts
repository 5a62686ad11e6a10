/**
 * Rules of the cache, each with what breaks it: a text of one source file and what takes its place. A checker that has never
 * failed proves nothing; so each rule is broken in turn, in the servers that torture starts and nowhere else, and the break
 * has to be noticed.
 *
 * The texts are single lines without types, and end before the statement of an `if`, which the compiler gives a line of its own:
 * so they stand in the published JavaScript as they stand in the sources.
 */
export interface Mutation {
  readonly name: string;
  /** What holds no more. */
  readonly breaks: string;
  /** Below the folder of the sources, without its ending. */
  readonly file: string;
  /** Occurs once in the file. */
  readonly find: string;
  readonly replace: string;
  /** The faults that let it show; none for a rule that is needed all the time. */
  readonly faults: readonly string[];
  /** The environment variable whose part the rule belongs to. */
  readonly needs?: string | undefined;
}

export const MUTATIONS: readonly Mutation[] = [
  {
    name: 'store-without-snapshot-test',
    breaks: 'an answer is stored although a row that it read has changed since its snapshot',
    file: 'cache/why-not-stored',
    find: 'if (outdatedAt !== SHARED_WITH_ALL) {',
    replace: 'if (outdatedAt < 0) {',
    faults: ['standby-slow'],
  },
  {
    name: 'skip-epoch',
    breaks: 'a gap in the feed drops nothing',
    file: 'cache/cache',
    find: "this.dropAll('epoch');",
    replace: '',
    faults: ['feed-dropped', 'connections-dropped'],
  },
  {
    name: 'answer-write-at-once',
    breaks: 'the answer to a write does not wait until the feed has passed it',
    file: 'http/plugin',
    find: 'void untilToldOrSilent(feed, wait, this.#writeWaitMaxMs).then((isTold) => {',
    replace: 'void Promise.resolve(true).then((isTold) => {',
    faults: ['feed-frozen'],
  },
  {
    name: 'answer-fill-at-once',
    breaks: 'an answer leaves before the feed has passed what it shows',
    file: 'http/answer-fill',
    find: 'void holdBack(this.#fill, cache, feed, answerWaitMaxMs).then((mayLeave) => {',
    replace: 'void Promise.resolve(true).then((mayLeave) => {',
    faults: ['feed-frozen'],
  },
  {
    name: 'ignore-old-values',
    breaks: 'a row that leaves a list does not end it',
    file: 'cache/term-index',
    find: "change.kind === 'insert' ? [change.new] : change.kind === 'delete' ? [change.old] : [change.old, change.new];",
    replace: "change.kind === 'insert' ? [change.new] : change.kind === 'delete' ? [change.old] : [change.new];",
    faults: [],
  },
  {
    name: 'trust-silence',
    breaks: 'answers count as fresh although the feed is silent',
    file: 'cache/cache',
    find: 'return this.feed.isFresh() && this.#untold.isTold;',
    replace: 'return true;',
    faults: ['feed-frozen', 'supervisor-frozen'],
  },
  {
    name: 'ignore-token',
    breaks: 'a hit is served to a reader who has seen what the feed has not told yet',
    file: 'http/hits/hits',
    find: 'if (carried && carried.position > feed.position)',
    replace: 'if (false)',
    faults: ['feed-frozen'],
  },
  {
    name: 'share-with-late-askers',
    breaks: 'a computation is shared with those who asked after a change that it did not see',
    file: 'cache/fill',
    find: "settle(value !== undefined && sequence < outdatedAt ? { kind: 'value', value } : { kind: 'again' });",
    replace: "settle(value !== undefined ? { kind: 'value', value } : { kind: 'again' });",
    faults: ['standby-slow'],
  },
  {
    name: 'forget-user',
    breaks: 'answers that differ by user are kept under one key',
    file: 'http/facets',
    find: 'shorten(caller.key)',
    replace: "'-'",
    faults: [],
  },
  {
    name: 'drop-late',
    breaks: 'what a commit ends is dropped a moment after the feed has told that it passed it',
    file: 'cache/cache',
    find: "this.feed.on('commit', (commit) => this.#apply(commit));",
    replace: "this.feed.on('commit', (commit) => { setTimeout(() => this.#apply(commit), 30); });",
    faults: [],
  },
  {
    name: 'ignore-holes',
    breaks: 'a worker that has lost messages of the supervisor goes on as if nothing were missing',
    file: 'feed/relayed-feed',
    find: 'if (!isNext)',
    replace: 'if (number % 20 === 0) return; else if (false)',
    faults: [],
    needs: 'WORKERS',
  },
  {
    name: 'tier-ignores-relay',
    breaks: 'an answer of the second tier counts as good up to now, however far behind the relay is',
    file: 'cache/redis/second-tier',
    find: 'const validAt = laterOf(position, relayed);',
    replace: 'const validAt = this.#options.feed.position;',
    faults: ['host-frozen', 'feed-frozen'],
    needs: 'REDIS_URL',
  },
  {
    name: 'tier-skips-epoch',
    breaks: 'the second tier gives answers of before a gap',
    file: 'cache/redis/functions',
    find: "if found[1] == 'answer' and found[2] == meta[1]",
    replace: "if found[1] == 'answer'",
    faults: ['feed-dropped', 'connections-dropped', 'database-cut'],
    needs: 'REDIS_URL',
  },
  {
    name: 'tier-trusts-missing-tags',
    breaks: 'a tag that Redis has evicted counts as never changed',
    file: 'cache/redis/functions',
    find: 'if not positions[i] or positions[i] > position then return false end',
    replace: 'if positions[i] and positions[i] > position then return false end',
    faults: ['redis-evicting'],
    needs: 'REDIS_URL',
  },
  {
    name: 'relay-forgets-tags',
    breaks: 'the relay moves on without marking what the commits touched',
    file: 'cache/redis/functions',
    find: "if positions[i] then redis.call('SET', names[i], args[5 + i], 'KEEPTTL') end",
    replace: '',
    faults: ['worker-killed'],
    needs: 'REDIS_URL',
  },
  {
    name: 'replica-too-early',
    breaks: 'a replica is read that has not replayed what the host has shown',
    file: 'db/replica-transaction',
    find: 'else if (replayedTo >= this.#needed && !this.#refusal) {',
    replace: 'else if (!this.#refusal) {',
    faults: ['replica-paused'],
    needs: 'DATABASE_REPLICA_URLS',
  },
];
