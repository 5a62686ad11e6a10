/** The two ends of the stream in Redis: hosts that write it from a feed of their own, and hosts that read it. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import {
  createStreamReader,
  createStreamWriter,
  type StreamReader,
  type StreamWriter,
  type StreamWriterOptions,
} from '../cache/redis/index.ts';
import { createFeed, createStreamedFeed, FanOut, type Feed } from '../feed/index.ts';
import type { TestDatabase } from './database.ts';
import { type Heard, listen } from './driven-feed.ts';

export const STREAM_SECRET: string = 'x'.repeat(32);

export interface StreamSetting extends AsyncDisposable {
  readonly namespace: string;
  /** A host that writes in this term; or, without one, in none until it is given one. */
  write(options?: WritingOptions): Promise<WritingHost>;
  read(options?: ReadingOptions): Promise<ReadingHost>;
}

export interface WritingOptions extends Partial<Pick<StreamWriterOptions, 'entriesMax' | 'bytesMax'>> {
  readonly term?: string;
  /** @defaultValue wal */
  readonly source?: 'wal' | 'outbox';
  readonly redisUrl?: string;
}

export interface ReadingOptions {
  readonly secret?: string;
  readonly redisUrl?: string;
  readonly databaseUrl?: string;
}

export interface WritingHost {
  readonly feed: Feed;
  readonly fanOut: FanOut;
  readonly told: readonly Heard[];
  readonly writer: StreamWriter;
  term: string | undefined;
  close(): Promise<void>;
}

export interface ReadingHost {
  readonly feed: Feed;
  readonly heard: Heard[];
  readonly reader: StreamReader;
  readonly problems: Error[];
}

export const termOf = (n: number): string => String(n).padStart(24, '0');

export async function createStreamSetting(database: TestDatabase, redisUrl: string): Promise<StreamSetting> {
  const { rows } = await database.pool.query('select system_identifier::text as id from pg_control_system()');
  const namespace = `{${randomBytes(6).toString('hex')}}`;
  await using acquired = new AsyncDisposableStack();
  const write = async (options: WritingOptions = {}): Promise<WritingHost> => {
    const { term, source = 'wal', redisUrl: url = redisUrl, ...limits } = options;
    const feed = createFeed({ connection: database.url, source });
    stack.defer(() => feed.close());
    const told = listen(feed);
    const fanOut = stack.adopt(new FanOut({ source: feed }), (it) => it.close());
    await feed.start();
    const writer = stack.use(
      await createStreamWriter({
        ...limits,
        url,
        namespace,
        secret: STREAM_SECRET,
        fanOut,
        findTerm: () => host.term,
        pollMs: 20,
      }),
    );
    const close = async (): Promise<void> => {
      await writer.close();
      fanOut.close();
      await feed.close();
    };
    const host: WritingHost = { feed, fanOut, told, writer, term, close };
    return host;
  };
  const read: StreamSetting['read'] = async (options = {}) => {
    const { secret = STREAM_SECRET, redisUrl: url = redisUrl, databaseUrl: connection = database.url } = options;
    const problems: Error[] = [];
    const reader = await createStreamReader({ url, namespace, secret, onProblem: (error) => problems.push(error) });
    stack.use(reader);
    const feed = createStreamedFeed({ connection, systemId: rows[0].id, channel: reader });
    stack.use(feed);
    feed.on('problem', (error) => problems.push(error));
    const heard = listen(feed);
    feed.start().catch(() => {}); // told by what the test waits for
    return { feed, heard, reader, problems };
  };
  const stack = acquired.move();
  return { namespace, write, read, [Symbol.asyncDispose]: () => stack.disposeAsync() };
}

/** The commits that were heard, without what each process counts by itself. */
export function commitsOf(heard: readonly Heard[]): unknown[] {
  return heard.flatMap(({ name, args: [commit] }) => {
    if (name !== 'commit') return [];
    const { sequence, ...rest } = commit as { sequence: number };
    assert.ok(sequence > 0);
    return [rest];
  });
}

export function epochsOf(heard: readonly Heard[]): unknown[] {
  return heard.flatMap(({ name, args }) => (name === 'epoch' ? [args[1]] : []));
}
