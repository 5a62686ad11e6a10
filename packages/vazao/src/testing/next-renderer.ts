/** What Next 16 does around a cache handler (`ResponseCache.handleGet`, `unstable_cache`), in the same flow of work, without Next. */
import { setImmediate as turn } from 'node:timers/promises';
import type { NextCacheHandlerClass, NextSetContext } from '../adapters/next/index.ts';

export interface Shown {
  readonly how: 'hit' | 'made' | 'stale';
  readonly text: string;
}

export interface Told extends NextSetContext {
  readonly headers?: Readonly<Record<string, string>> | undefined;
}

export const NEVER: NextSetContext = { cacheControl: { revalidate: false } };

interface Page {
  readonly html: string;
}

/** Renders in what follows its `get`, sets, and answers. */
export async function showPage(
  Handler: NextCacheHandlerClass,
  key: string,
  render: () => Promise<string>,
  told: Told = NEVER,
): Promise<Shown> {
  const { headers, ...context } = told;
  const handler = new Handler();
  await turn(); // so that others who ask for the page share the render
  const found = await handler.get(key, { kind: 'APP_PAGE', isRoutePPREnabled: told.isRoutePPREnabled });
  const given = found?.value as Page | null | undefined;
  const limit = found?.cacheControl?.revalidate;
  const isTooOld = found && typeof limit === 'number' && Date.now() > found.lastModified + limit * 1_000;
  if (found && !isTooOld) return { how: 'hit', text: given?.html ?? '' };
  let html: string;
  try {
    html = await render();
  } catch (error) {
    if (!found) throw error;
    await handler.set(key, found.value, { cacheControl: { revalidate: 30 } });
    return { how: 'stale', text: given?.html ?? '' };
  }
  await handler.set(key, { kind: 'APP_PAGE', html, headers }, context);
  return { how: 'made', text: html };
}

/** `unstable_cache`, on a page of the path `/page`. */
export async function readData(
  Handler: NextCacheHandlerClass,
  key: string,
  compute: () => Promise<string>,
  tags: readonly string[] = [],
): Promise<string> {
  const handler = new Handler();
  await turn(); // for the hash of the key
  const found = await handler.get(key, { kind: 'FETCH', revalidate: false, tags, softTags: ['_N_T_/page'] });
  if (found) return (found.value as { data: { body: string } }).data.body;
  const body = await compute();
  // Nobody waits for it.
  void handler.set(key, { kind: 'FETCH', data: { body }, revalidate: 31_536_000 }, { fetchCache: true, tags });
  return body;
}
