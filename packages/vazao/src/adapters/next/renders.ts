/**
 * What Next keeps, tied to the rows that it was made from.
 *
 * Next renders by itself; all that it lets us do is `get` before and `set` after. But it goes on from `get`, and comes to
 * `set`, in one flow of asynchronous work:
 *
 *   get(key) ── nothing kept, or too old ──► render: statements on the pool … ──► set(key, data)
 *      └─ enters a context, in which all of this happens and each statement is seen ─┘
 *
 * So `get` makes a context the current one of whoever called it (`enterContext`, before it awaits anything), and `set`
 * takes what was read in it. What is kept is kept like any other answer: under one snapshot, tried against the recent
 * commits, dropped by the feed. A `set` whose context does not know its key is not tied to anything seen, and keeps nothing.
 *
 *   - A render that fails never comes to `set`, and nobody tells. So none holds a connection (`LooseSession`), and its
 *     fill is given up after a time.
 *   - After a failed render Next sets what it had got before: known by being the very same object, and left as it is.
 *   - Renders nest: a page asks for data that is kept by itself (`unstable_cache`, `fetch`). What reads rows within a page that
 *     is rendered is read again for the page, so that the page sees it; what read none is taken from the cache.
 *   - A context that leaks from an inner `get` into the page around it loses nothing: all that is read within an inner one is
 *     read for the outer ones, too.
 *   - A render on which no statement was seen is kept for as long as Next says.
 *   - `'use cache'` (Cache Components) goes other ways: one render takes the result that another one is computing, in the
 *     other's context. So nothing is kept of routes that have it.
 *
 * Tried and rejected: to tell Next tags for what was read, and to name them when it changes. Only what is cached by `fetch` or
 * `unstable_cache` takes tags, the Pages Router hands none over, and each data function would have to be wrapped.
 */
import { AsyncLocalStorage } from 'node:async_hooks';
import type { Entry, Fill, NotStored } from '../../cache/index.ts';
import { currentContext, enterContext, type LooseSession } from '../../db/index.ts';
import { FILL_MAX_MS_DEFAULT } from '../../standalone/options.ts';
import type { Kept } from '../../standalone/reads.ts';
import { partsOf, type ValueCache, type ValueCacheParts } from '../../standalone/value-cache.ts';
import {
  type KeptEntry,
  mayBeMadeAgain,
  type NextEntry,
  type NextGetContext,
  type NextSetContext,
  revalidateMsOf,
  sizeOf,
  tagsOf,
} from './entry.ts';
import { Tags } from './tags.ts';

interface Render {
  readonly key: string;
  readonly session: LooseSession;
  readonly outer: Render | undefined;
  readonly madeAt: number;
  /** What `get` gave. */
  given: KeptEntry | undefined;
  timer: NodeJS.Timeout | undefined;
  /** What is set is what was made in it. */
  isOpen: boolean;
}

const ENTRY_OVERHEAD_BYTES = 200;
const PREFIX = 'n';

const UNTIED: NotStored = { code: 'untied', detail: 'It was made where no statement of it could be seen.' };
const PARTIAL: NotStored = {
  code: 'cache-components',
  detail: "The route has Cache Components ('use cache'), whose reads can't be told from those of others.",
};
const REVALIDATED: NotStored = { code: 'revalidated', detail: 'One of its tags was revalidated meanwhile.' };

export class Renders {
  readonly #parts: ValueCacheParts;
  readonly #onNotStored: (key: string, why: NotStored) => void;
  readonly #storage = new AsyncLocalStorage<Render>();
  readonly #tags = new Tags();
  #count = 0;

  constructor(cache: ValueCache, onNotStored: (key: string, why: NotStored) => void) {
    this.#parts = partsOf(cache);
    this.#onNotStored = onNotStored;
  }

  /** Not async: the context is to be entered in the turn of the caller. */
  get(key: string, context: NextGetContext): Promise<NextEntry | null> {
    if (context.isRoutePPREnabled) return Promise.resolve(null);
    const isWithin = currentContext()?.fill?.isOpen ?? false;
    return this.#find(this.#enter(key), context, isWithin);
  }

  async set(key: string, data: unknown, context: NextSetContext): Promise<void> {
    this.#parts.cache.noteLeaving(); // Next does not wait with it
    const why = context.isRoutePPREnabled ? PARTIAL : await this.#keep(key, data, context);
    if (!why) return;
    // What stood there is older than what Next has now.
    this.#parts.cache.purge(PREFIX + key);
    this.#onNotStored(key, why);
  }

  revalidate(tags: readonly string[]): void {
    this.#tags.revalidate(tags);
  }

  #enter(key: string): Render {
    const outer = currentContext();
    // What has ended does not begin again, and would only grow into a chain.
    const care = outer?.fill?.isOpen ? outer.fill : undefined;
    const session = this.#parts.db.openLooseSession({ outer: care, begin: () => this.#begin(render) });
    const render: Render = {
      key,
      session,
      outer: findOpen(this.#storage.getStore(), () => true),
      madeAt: this.#tags.count,
      given: undefined,
      timer: undefined,
      isOpen: session.isOwnOpen,
    };
    this.#storage.enterWith(render);
    enterContext({ ...outer, fill: render.session, position: 0n });
    return render;
  }

  async #find(render: Render, context: NextGetContext, isWithin: boolean): Promise<NextEntry | null> {
    const { cache, reads } = this.#parts;
    const key = PREFIX + render.key;
    if (!(await reads.hasToldWrites())) return null;
    const entry = cache.get(key);
    if (entry?.value.kind !== 'value' || !cache.isFresh() || !cache.isGood(entry)) return null;
    const kept = entry.value.value as KeptEntry;
    const tags = [...kept.tags, ...(context.tags ?? []), ...(context.softTags ?? [])];
    if (this.#tags.haveBeenRevalidated(tags, kept.madeAt)) {
      cache.purge(key);
      return null;
    }
    if (isWithin && hasRead(entry)) return null;
    entry.hits++;
    render.given = kept;
    // What goes on from here is most often not the making of it, and reads for itself.
    if (!mayBeMadeAgain(kept, context)) this.#end(render);
    return { value: kept.value, lastModified: kept.lastModified, cacheControl: kept.cacheControl };
  }

  /** The fill of a render, at its first statement. */
  #begin(render: Render): Fill<unknown> {
    const fill = this.#join(PREFIX + render.key);
    render.timer = setTimeout(() => {
      const detail = `The render took longer than ${FILL_MAX_MS_DEFAULT} ms, or failed.`;
      fill.abandon('too-long', detail);
      this.#end(render);
      this.#parts.cache.fail(fill);
    }, FILL_MAX_MS_DEFAULT);
    render.timer.unref();
    return fill as Fill<unknown>;
  }

  #join(key: string): Fill<Kept<unknown>> {
    const { cache } = this.#parts;
    // Next lets one render of a key run at a time, or two: nobody is to wait for the other's.
    for (let name = key; ; name = `${key}\0${++this.#count}`) {
      const joined = cache.join(name);
      if (joined.role === 'leader') return joined.fill;
    }
  }

  #end(render: Render): Fill<Kept<unknown>> | undefined {
    render.isOpen = false;
    clearTimeout(render.timer);
    return render.session.end() as Fill<Kept<unknown>> | undefined;
  }

  /** Undefined when it is kept. */
  async #keep(key: string, data: unknown, context: NextSetContext): Promise<NotStored | undefined> {
    const { cache, reads, valueMaxBytes } = this.#parts;
    const render = this.#findRender(key);
    if (!render) return UNTIED;
    const fill = this.#end(render) ?? this.#join(PREFIX + key);
    try {
      if (render.given && render.given.value === data) return this.#retain(key, render.given, context);
      await reads.untilShown(fill);
      // Nothing is awaited from here on.
      const tags = tagsOf(data, context);
      if (this.#tags.haveBeenRevalidated(tags, render.madeAt)) return REVALIDATED;
      const { cacheControl } = context;
      const valueBytes = ENTRY_OVERHEAD_BYTES + sizeOf(data);
      if (valueBytes > valueMaxBytes) fill.abandon('too-large', `It is larger than ${valueMaxBytes} bytes.`);
      const revalidateMs = revalidateMsOf(data, cacheControl);
      const entry: KeptEntry = { value: data, lastModified: Date.now(), cacheControl, tags, madeAt: render.madeAt };
      const completed = cache.complete(fill, {
        key: PREFIX + key,
        value: { kind: 'value', value: entry },
        valueBytes,
        // When it is too old is for Next to say, but for what depends on the time.
        ttlMs: fill.snapshot ? (fill.usesTime ? revalidateMs : undefined) : Number.POSITIVE_INFINITY,
      });
      return completed.stored ? undefined : completed.why;
    } finally {
      cache.fail(fill); // does nothing once it is complete
    }
  }

  #findRender(key: string): Render | undefined {
    return findOpen(this.#storage.getStore(), (render) => render.key === key);
  }

  /** A render failed, and Next puts back what it had, with another time at which to try again. */
  #retain(key: string, given: KeptEntry, { cacheControl }: NextSetContext): NotStored | undefined {
    const entry = this.#parts.cache.peek(PREFIX + key);
    if (given.value === null || entry?.value.kind !== 'value' || entry.value.value !== given) return UNTIED;
    given.lastModified = Date.now();
    given.cacheControl = cacheControl;
    return undefined;
  }
}

/** The innermost one that is open and is it. */
function findOpen(from: Render | undefined, isIt: (render: Render) => boolean): Render | undefined {
  let render = from;
  while (render && !(render.isOpen && isIt(render))) render = render.outer;
  return render;
}

function hasRead(entry: Entry<Kept<unknown>>): boolean {
  return entry.snapshot !== undefined;
}
