/** Whether a poll goes on from the one before, or something may be missing between the two. */
import { FeedError, toFeedError } from '../errors.ts';
import type { Snapshot } from '../snapshot.ts';
import { type Poll, seesAll } from './poller.ts';

/** So long before the writers stop appending a poll takes the lease for lapsed: clocks may be set. */
const LEASE_MARGIN_SECONDS = 60;

/** What a poll found is not the continuation of what the poll before had seen. */
export class Gap extends FeedError {
  constructor(message: string) {
    super('ERR_FEED_STREAM', message);
  }
}

export interface Origin {
  /** Another one after a crash. */
  readonly birth: string | null;
  /** Grows when nobody's lease had been running. */
  readonly generation: string;
}

/** @param origin - of the poll before; undefined when this one begins an epoch. Throws {@link Gap}. */
export function continueFrom(poll: Poll, previous: Snapshot | undefined, origin: Origin | undefined): Origin {
  const { birth, generation } = poll;
  if (origin) {
    if (birth !== origin.birth) throw new Gap('The outbox was emptied: PostgreSQL had crashed.');
    if (generation !== origin.generation) throw new Gap('For a while nobody looked at the outbox.');
    if (poll.overflow) throw new Gap('The outbox holds more than is worth reading.');
    if (previous && poll.deleted && !seesAll(previous, poll.deleted)) {
      throw new Gap('Changes were deleted from the outbox before they were read.');
    }
  }
  if (poll.leaseSeconds < LEASE_MARGIN_SECONDS) throw new Gap('The outbox was not looked at for too long.');
  return { birth, generation };
}

/** Nothing was half delivered: the poll itself failed, so the next one may go on from the snapshot before. */
export function isConnectionLoss(error: unknown): boolean {
  return toFeedError(error).code === 'ERR_FEED_CONNECTION';
}
