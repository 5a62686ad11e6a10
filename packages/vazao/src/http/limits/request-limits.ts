/** What the limits know of a request and of its route, kept on Fastify's own objects. */

import type { FastifyReply, FastifyRequest } from 'fastify';
import type { ClassFigures, Release } from './admission.ts';
import type { GuardedRequest } from './guard.ts';
import type { Rate } from './rate.ts';
import type { Quota } from './rate-fields.ts';
import type { RatePolicy } from './rate-store.ts';
import type { RefusalCode } from './refusal.ts';
import { classOf, type RequestClass } from './request-class.ts';

export interface RouteLimits {
  readonly class: RequestClass;
  /** The route's own rate. */
  readonly policy: RatePolicy | undefined;
  /** False: under no rate but the outer fence. */
  readonly isCounted: boolean;
}

export interface RequestLimits {
  readonly class: RequestClass;
  /** The request's `Accept`: a cached handler's request notices what it is asked later. */
  readonly accept: string | undefined;
  /** Of whoever asks, or of the network that it counts with. Kept for the same reason. */
  readonly address: string;
  /** The client is gone. */
  isGone: boolean;
  /** Ends its waiting for a place. */
  leave: (() => void) | undefined;
  release: Release | undefined;
  /** Until its body has to be there, or its place is given back. */
  arriving: NodeJS.Timeout | undefined;
  /** Of a place whose request is still worked on although its client is gone. */
  late: NodeJS.Timeout | undefined;
}

export interface LimitsFigures {
  /** Undefined without admission. */
  readonly classes: Readonly<Record<RequestClass, ClassFigures>> | undefined;
  /** Refusals so far, by code. */
  readonly refused: Readonly<Partial<Record<RefusalCode, number>>>;
  /** Clients that were cut off for not reading their answers. */
  readonly slowReaders: number;
  /** Clients that were cut off for sending their bodies slowly, when too many did. */
  readonly slowBodies: number;
}

/** `app.limits`. */
export interface HttpLimits {
  /**
   * Counts a request under the limits that hold for it, and calls `go`, or answers it with 429. The vazao plugin calls it
   * before it answers from the cache; else the hook of the limits does.
   * @param user - who asks; undefined when nobody is known
   */
  check(request: FastifyRequest, reply: FastifyReply, user: string | undefined, go: () => void): void;
  /**
   * Whether the request was answered with 503, because there is no place for it and none will come free in time. No hook of the
   * application is called for it, nobody is looked up, and no rate counts it: under overload most requests end here, and what
   * they cost is lost to the others. Never for a cached route, whose answer may need no place,
   * nor for a request with a body, which Fastify reads, so that its connection goes on.
   */
  refusesAtOnce(request: FastifyRequest, reply: FastifyReply): boolean;
  /** Counts under a limit of the application's own, as for attempts to log in as somebody: whether it was allowed. */
  consume(name: string, rate: Rate, key: string): Promise<Quota & { readonly isAllowed: boolean }>;
  /** What the request is counted under where nobody is known: its client's address, or network of IPv6. */
  addressOf(request: FastifyRequest): string;
  /** Of a request that Fastify has not seen: whether it is more than its address may send, or malformed. Counts one that is not. */
  isRefused(request: GuardedRequest): boolean;
  figures(): LimitsFigures;
}

export const LIMITS: unique symbol = Symbol('vazao.limits');
export const ROUTE_LIMITS: unique symbol = Symbol('vazao.limits.route');

/** What holds for the route of a request, or for one that has none. */
export function limitsOf({ method, routeOptions }: FastifyRequest): RouteLimits {
  const own = routeOptions.config[ROUTE_LIMITS];
  return own ?? { class: classOf(method, undefined), policy: undefined, isCounted: true };
}

declare module 'fastify' {
  interface FastifyContextConfig {
    /** What the route may take of the room: see the limits. @defaultValue by method; `health` for `/health`, `admin` below `/admin` */
    class?: RequestClass | undefined;
    /**
     * How often one user, or one address where nobody is known, may ask for this route; hits are not counted. `false`: as
     * often as the outer fence allows; no other rate counts it.
     */
    limit?: Rate | false | undefined;
    [ROUTE_LIMITS]?: RouteLimits;
  }
  interface FastifyInstance {
    /** The limits; undefined where their plugin is not registered. */
    readonly limits: HttpLimits | undefined;
  }
  interface FastifyRequest {
    [LIMITS]: RequestLimits | null;
  }
}
