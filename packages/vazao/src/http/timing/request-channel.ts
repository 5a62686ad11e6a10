import { type Channel, channel } from 'node:diagnostics_channel';
import type { Stage, TimedStatement } from '../../db/index.ts';

/** What the channel `vazao.request` tells of each request, when the last byte of its answer was handed to the system. */
export interface RequestEvent {
  readonly method: string;
  /** The pattern of the route; undefined where none was found, and for hits that were answered before routing. */
  readonly route: string | undefined;
  readonly url: string;
  readonly status: number;
  readonly isHit: boolean;
  /** The connection was gone before the answer was complete. */
  readonly isCut: boolean;
  readonly durationMs: number;
  /** `queue`, `cache`, `hooks`, `handler`, `serialise`, `feed`, `compress`, `send` …: they follow one another. */
  readonly stages: readonly Stage[];
  /** Within `handler`, mostly, and perhaps several at once. Bounded; see {@link RequestEvent.statementsMore}. */
  readonly statements: readonly TimedStatement[];
  readonly statementsMore: { readonly count: number; readonly durationMs: number };
  readonly traceId: string | undefined;
}

/** `diagnostics_channel.subscribe('vazao.request', listener)`. Nothing is measured for it until somebody has subscribed. */
export const requestChannel: Channel<RequestEvent, unknown> = channel('vazao.request') as Channel<
  RequestEvent,
  unknown
>;
