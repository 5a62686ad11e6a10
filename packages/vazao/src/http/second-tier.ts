/**
 * What the leader of a fill asks of the second tier before it computes, and what it leaves there afterwards.
 *
 *   ask ─┬─ an answer that this host's feed does not contradict ──► kept, given to all who wait, written
 *        ├─ a node of the tree of keys ──► noted; everybody looks again, under the longer key
 *        └─ nothing ──► compute; what is kept here goes there too, in the background
 */
import { type Cache, type Entry, type Fill, isShown, untilShown } from '../cache/index.ts';
import type { SecondTier, Ticket } from '../cache/redis/index.ts';
import { extendKey, type FacetValue } from './facets.ts';
import type { CacheValue, HttpCache } from './lookup.ts';
import type { PluginFeed } from './options.ts';
import type { ResolvedRouteCacheOptions } from './route-options.ts';
import type { Compression } from './sending/compression.ts';
import type { StoredResponse } from './stored-response.ts';

/** The part of the second tier that the plugin uses. */
export type HttpSecondTier = Pick<SecondTier<CacheValue>, 'isAvailable' | 'get' | 'store' | 'release'>;

/** `again`: the fill has ended without a value; look again, and ask again only if told so. */
export type Asked =
  | { readonly kind: 'answer'; readonly stored: StoredResponse }
  | { readonly kind: 'again'; readonly mayAsk: boolean }
  | { readonly kind: 'compute'; readonly ticket: Ticket | undefined };

export interface Asking {
  readonly tier: HttpSecondTier;
  readonly cache: HttpCache;
  readonly feed: PluginFeed;
  readonly feedWaitMaxMs: number;
  readonly key: string;
  readonly fill: Fill<CacheValue>;
  readonly options: ResolvedRouteCacheOptions;
  /** Whether the request may have the answer. */
  readonly isMine: (stored: StoredResponse) => boolean;
  readonly compression: Compression;
}

/** Asks for the answer of a fill that this request leads. Never rejects. */
export async function askSecondTier(asking: Asking): Promise<Asked> {
  const { tier, cache, key, fill, isMine } = asking;
  // Whoever joins from now on may get what was computed before it asked.
  fill.open();
  const asked = await tier.get(key, () => cache.coveredFrom);
  if (asked.kind === 'miss') return { kind: 'compute', ticket: asked.ticket };
  if (asked.kind === 'note' && asked.value.kind === 'node') {
    cache.note(key, asked.value, asked.value.facet.length);
    cache.fail(fill);
    return { kind: 'again', mayAsk: true };
  }
  if (asked.kind !== 'hit' || asked.candidate.value.kind !== 'response' || !isMine(asked.candidate.value))
    return { kind: 'compute', ticket: undefined };
  return adopt(asking, asked.candidate, asked.candidate.value);
}

type Hit = Extract<Awaited<ReturnType<HttpSecondTier['get']>>, { readonly kind: 'hit' }>['candidate'];

async function adopt(
  { cache, feed, feedWaitMaxMs, key, fill, options, compression }: Asking,
  candidate: Hit,
  stored: StoredResponse,
): Promise<Asked> {
  const { snapshot, snapshotPosition, statements, usesTime, validAt, expiresAtMs } = candidate;
  fill.adopt({ snapshot, position: snapshotPosition }, validAt);
  for (const statement of statements) fill.read(statement, usesTime);
  if (!isShown(fill, cache) && !(await untilShown(fill, cache, feed, feedWaitMaxMs)))
    fill.abandon('feed-behind', `The feed did not reach the snapshot within ${feedWaitMaxMs} ms.`);
  const completed = cache.complete(fill, {
    key,
    value: stored,
    valueBytes: stored.bytes,
    // It is as old as where it was computed.
    ttlMs: options.ttlMs === undefined ? undefined : Math.min(options.ttlMs, expiresAtMs - fill.start.atMs),
    staleForMs: Math.max(options.staleForMs, options.staleIfErrorMs),
  });
  if (!completed.stored) return { kind: 'again', mayAsk: false };
  compression.keep(key, stored);
  return { kind: 'answer', stored };
}

export interface Leaving {
  readonly tier: HttpSecondTier;
  readonly cache: HttpCache;
  readonly feed: PluginFeed;
  readonly ticket: Ticket;
  readonly baseKey: string;
  readonly facets: readonly FacetValue[];
  readonly fill: Fill<CacheValue>;
  readonly entry: Entry<CacheValue>;
}

/** Stores in the background what was computed and is kept here. */
export function leaveInSecondTier({ tier, cache, feed, ticket, baseKey, facets, fill, entry }: Leaving): void {
  tier.store(ticket, {
    entry,
    snapshotPosition: fill.position,
    usesTime: fill.usesTime,
    // Whatever has been told up to now would have ended it.
    findPosition: () => (cache.get(entry.key) === entry && cache.isGood(entry) ? feed.position : undefined),
    expiresAtMs: Number.isFinite(entry.expiresAtMs) ? entry.expiresAtMs : undefined,
    notes: findNodes(cache, baseKey, facets),
  });
}

/** The nodes that lead to the answer with these facets. */
function findNodes(
  cache: Pick<Cache<CacheValue>, 'get'>,
  baseKey: string,
  facets: readonly FacetValue[],
): [string, CacheValue][] {
  const values = new Map(facets);
  const nodes: [string, CacheValue][] = [];
  let key = baseKey;
  for (let node = cache.get(key)?.value; node?.kind === 'node'; node = cache.get(key)?.value) {
    const value = values.get(node.facet);
    if (value === undefined) break;
    nodes.push([key, node]);
    values.delete(node.facet);
    key = extendKey(key, node.facet, value);
  }
  return nodes;
}
