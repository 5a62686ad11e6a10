/** A feed that can be held up: what it tells comes later, in its order, as from a connection on which nothing came for a while. */
import type { Feed, FeedEvents } from '../feed/index.ts';

export interface LateFeed {
  readonly wrap: (feed: Feed) => Feed;
  /** Nothing is told from now on, and it is not fresh. */
  hold(): void;
  /** It proves what was so when it was held, and nothing of what came later. */
  proveWhatWas(): void;
  /** All that was held up is told. */
  letGo(): void;
}

export function createLateFeed(): LateFeed {
  let inner: Feed | undefined;
  let held: (() => void)[] | undefined;
  let position = 0n;
  let isFresh = false;
  return {
    wrap(feed) {
      inner = feed;
      const own: Partial<Feed> = {
        isFresh: () => (held ? isFresh : feed.isFresh()),
        on: <Name extends keyof FeedEvents>(name: Name, listener: (...args: FeedEvents[Name]) => void) =>
          feed.on(name, (...args) => {
            if (held) held.push(() => listener(...args));
            else listener(...args);
          }),
        waitFor: async (wanted, timeoutMs) => {
          if (!held) return feed.waitFor(wanted, timeoutMs);
          if (wanted <= position) return true;
          await new Promise((resolve) => setTimeout(resolve, timeoutMs));
          return false;
        },
      };
      return new Proxy(feed, {
        get(target, name) {
          if (name === 'position') return held ? position : target.position;
          const value = Reflect.get(own, name) ?? Reflect.get(target, name, target);
          return typeof value === 'function' ? value.bind(target) : value;
        },
      });
    },
    hold() {
      position = inner?.position ?? 0n;
      isFresh = false;
      held = [];
    },
    proveWhatWas() {
      isFresh = true;
    },
    letGo() {
      const due = held ?? [];
      held = undefined;
      for (const tell of due) tell();
    },
  };
}
