import { FeedError, toFeedError } from './errors.ts';
import { EventMap, type FeedEvents } from './events.ts';
import type { Clock } from './options.ts';
import type { FeedStatus } from './status.ts';

/** The listeners of a feed, whatever its source, and what failed last. */
export class Announcer extends EventMap<FeedEvents> {
  readonly #clock: Pick<Clock, 'wallMs'>;
  #lastError: FeedStatus['lastError'];

  constructor(clock: Pick<Clock, 'wallMs'>) {
    super();
    this.#clock = clock;
  }

  get lastError(): FeedStatus['lastError'] {
    return this.#lastError;
  }

  /**
   * Throws {@link FeedError} when a listener does: a consumer that failed to take an event no longer knows the truth. What
   * the feed reads from must end then, and the next epoch tells all.
   */
  announce<Name extends keyof FeedEvents>(name: Name, ...args: FeedEvents[Name]): void {
    try {
      this.emit(name, ...args);
    } catch (error) {
      throw new FeedError('ERR_FEED_LISTENER', `A listener of "${name}" threw: ${String(error)}`, { cause: error });
    }
  }

  /** Remembers and tells of something that the feed will try again. */
  problem(error: unknown): void {
    const problem = toFeedError(error);
    const { code, message } = problem;
    this.#lastError = { code, message, at: new Date(this.#clock.wallMs()).toISOString() };
    try {
      this.emit('problem', problem);
    } catch {
      // A listener that reports problems and fails at it has nobody left to report to.
    }
  }
}
