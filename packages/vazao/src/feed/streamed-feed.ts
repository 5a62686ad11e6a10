/**
 * The feed of a host that reads none of the database's changes itself: another host's feed, over a channel between the two.
 * It opens one ordinary connection to the database, which proves freshness (`position-probe.ts`), and no replication slot.
 */
import { FeedError } from './errors.ts';
import type { FeedChannel } from './fanout-channel.ts';
import type { FanOutReply } from './fanout-messages.ts';
import type { Feed } from './feed.ts';
import {
  type Clock,
  CONNECT_TIMEOUT_MS_DEFAULT,
  type FeedOptions,
  HEARTBEAT_MS_DEFAULT,
  LEASE_MS_DEFAULT,
  systemClock,
} from './options.ts';
import { PositionProbe } from './position-probe.ts';
import { createRelayedFeed } from './relayed-feed.ts';
import { originOf } from './status.ts';

export interface StreamedFeedOptions {
  /** How to reach the primary itself. */
  readonly connection: FeedOptions['connection'];
  /** Of that server: what the other host reads must be the same. */
  readonly systemId: string;
  /** To the other host. What it may lose is noticed by the numbers. */
  readonly channel: FeedChannel;
  /** How long `start()` waits for a feed that is fresh, in milliseconds. */
  readonly startTimeoutMs?: number | undefined;
  /** See {@link FeedOptions.leaseMs}. */
  readonly leaseMs?: number | undefined;
  /** How often the database is asked for its position. @defaultValue that of the heartbeats */
  readonly probeMs?: number | undefined;
  /** @defaultValue the system's clocks */
  readonly clock?: Clock | undefined;
}

const PROBE_TIMEOUT_MS = 2_000;

/** Creates a feed that follows another host's; `start()` it, and close it with `close()` or `await using`. Throws {@link FeedError}. */
export function createStreamedFeed(options: StreamedFeedOptions): Feed {
  const { leaseMs = LEASE_MS_DEFAULT, probeMs = HEARTBEAT_MS_DEFAULT, clock = systemClock } = options;
  if (leaseMs <= 2 * probeMs) {
    // A question waits for the heartbeat that follows it.
    throw new FeedError('ERR_FEED_OPTIONS', `leaseMs (${leaseMs}) must be more than twice probeMs (${probeMs}).`);
  }
  const probe = new PositionProbe({
    connection: options.connection,
    systemId: options.systemId,
    clock,
    intervalMs: probeMs,
    leaseMs,
    connectTimeoutMs: CONNECT_TIMEOUT_MS_DEFAULT,
    timeoutMs: PROBE_TIMEOUT_MS,
  });
  return createRelayedFeed({
    channel: nudgedByLog(options.channel, probe),
    startTimeoutMs: options.startTimeoutMs,
    clock,
    proof: probe,
    describe: (told) => ({ ...told, source: 'stream', origin: originOf(told), slot: undefined }),
    teller: 'The stream in Redis',
  });
}

/** The other host need not be asked to look further: what is written to the log reaches it by itself. */
function nudgedByLog(channel: FeedChannel, probe: PositionProbe): FeedChannel {
  return {
    send(message) {
      if ((message as FanOutReply).nudge !== undefined) probe.nudge();
      channel.send(message);
    },
    onMessage: (listener) => channel.onMessage(listener),
    onClose: (listener) => channel.onClose(listener),
  };
}
