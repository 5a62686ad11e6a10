/**
 * Measures requests:
 *
 *   onRequest ─cache─► hooks of the application ─hooks─► handler ─handler─► preSerialization ─serialise─► onSend
 *     ─compress (and other hooks of onSend)─► writeHead, where the field is written ─send─► finish
 *
 * `queue`, `pool` and `feed` are waits within these, and stand apart. `send` comes after the field was sent: a trailer would need
 * chunks instead of a length, and few clients read one, so it is told on the channel `vazao.request` alone.
 *
 * Nobody is measured but a caller who may see it, and everybody while the channel has a subscriber.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { FastifyInstance, FastifyReply, FastifyRequest, RouteOptions } from 'fastify';
import { createTraceContext, type Stage, Stages } from '../../db/index.ts';
import { STATE } from '../request-state.ts';
import { requestChannel } from './request-channel.ts';
import { formatServerTiming } from './server-timing.ts';
import type { Visibility } from './visibility.ts';

/** Of a hit there is nothing to tell but that it was one. */
const HIT_TIMING = 'cache;desc="hit"';
const HIT_STAGES: readonly Stage[] = [];
const NO_MORE = { count: 0, durationMs: 0 };

export class RequestTimings {
  readonly #visibility: Visibility | undefined;

  constructor(visibility: Visibility | undefined) {
    this.#visibility = visibility;
  }

  /** Whether anybody wants to know of a hit, or may do so. */
  wants(request: Pick<IncomingMessage, 'rawHeaders'>): boolean {
    const visibility = this.#visibility;
    if (requestChannel.hasSubscribers) return true;
    return visibility !== undefined && (visibility.reads === 'request' || visibility.isVisibleTo(request));
  }

  register(app: FastifyInstance): void {
    app.addHook('onRoute', (route) => markHandler(route));
    app.addHook('preSerialization', (request, _reply, payload, done) => {
      request[STATE]?.context.stages?.mark('handler');
      done(null, payload);
    });
    // The first of its kind: what comes after is other hooks' work, compression above all.
    app.addHook('onSend', (request, _reply, _payload, done) => {
      const stages = request[STATE]?.context.stages;
      if (stages) stages.mark(has(stages, 'handler') ? 'serialise' : 'handler');
      done();
    });
  }

  /** Begins to measure a request; undefined when nobody wants to know. */
  begin(request: FastifyRequest, reply: FastifyReply): Stages | undefined {
    const isVisible = this.#visibility?.isVisibleTo(request.raw) ?? false;
    if (!isVisible && !requestChannel.hasSubscribers) return undefined;
    const stages = new Stages();
    const response = reply.raw;
    beforeHead(response, () => {
      // Answered at once, or by a handler that wrote by itself, or by Fastify.
      stages.mark(has(stages, 'handler') ? 'compress' : has(stages, 'hooks') ? 'handler' : 'cache');
      return isVisible ? formatServerTiming(stages) : undefined;
    });
    response.once('close', () => {
      stages.mark('send');
      requestChannel.publish({
        method: request.method,
        route: request.routeOptions.url,
        url: request.originalUrl,
        status: response.statusCode,
        isHit: request[STATE]?.isHit ?? false,
        isCut: !response.writableFinished,
        durationMs: stages.totalMs,
        stages: stages.list,
        statements: stages.statements,
        statementsMore: stages.more,
        traceId: request[STATE]?.context.trace?.traceId,
      });
    });
    return stages;
  }

  /** Called before a hit is written. */
  onHit(request: IncomingMessage, response: ServerResponse): void {
    if (this.#visibility?.isVisibleTo(request)) response.setHeader('server-timing', HIT_TIMING);
    if (!requestChannel.hasSubscribers) return;
    const startedAtMs = performance.now();
    response.once('close', () =>
      requestChannel.publish({
        method: request.method ?? 'GET',
        route: undefined,
        url: request.url ?? '',
        status: response.statusCode,
        isHit: true,
        isCut: !response.writableFinished,
        durationMs: performance.now() - startedAtMs,
        stages: HIT_STAGES,
        statements: [],
        statementsMore: NO_MORE,
        traceId: findTraceId(request),
      }),
    );
  }
}

/** A hit has no context, and begins no span: its request is read for the trace where somebody wants to know of it, and only there. */
function findTraceId({ headers: { traceparent } }: IncomingMessage): string | undefined {
  return traceparent === undefined ? undefined : createTraceContext(String(traceparent), undefined)?.traceId;
}

/** The hook that runs last before the handler, so that what ran before it is told apart. */
function markHandler(route: RouteOptions): void {
  const mark = (request: FastifyRequest, _reply: FastifyReply, done: () => void): void => {
    request[STATE]?.context.stages?.mark('hooks');
    done();
  };
  route.preHandler = [route.preHandler ?? [], mark].flat();
}

function has(stages: Stages, name: string): boolean {
  return stages.list.some((stage) => stage.name === name);
}

/** Adds a field at the last moment, whoever writes the head: Fastify, a handler, or what is kept in the cache. */
function beforeHead(response: ServerResponse, findField: () => string | undefined): void {
  const own = Object.getOwnPropertyDescriptor(response, 'writeHead');
  const writeHead = (...args: unknown[]): ServerResponse => {
    if (own) Object.defineProperty(response, 'writeHead', own);
    else delete (response as Partial<ServerResponse>).writeHead;
    const value = findField();
    const head = value === undefined ? args : withField(response, args, value);
    return response.writeHead(...(head as [number]));
  };
  Object.defineProperty(response, 'writeHead', { value: writeHead, configurable: true, writable: true });
}

/** What the application says itself stays: the field is a list. */
function withField(response: ServerResponse, args: readonly unknown[], value: string): readonly unknown[] {
  const at = args.findIndex((arg) => typeof arg === 'object' && arg !== null);
  const headers = args[at];
  if (Array.isArray(headers)) {
    // A list takes the place of what was set before under the same name.
    const own = response.getHeader('server-timing');
    const all = own === undefined ? value : `${[own].flat().join(', ')}, ${value}`;
    const pair = Array.isArray(headers[0]) ? [['server-timing', all]] : ['server-timing', all];
    return args.with(at, [...headers, ...pair]);
  }
  if (headers === undefined) {
    response.appendHeader('server-timing', value);
    return args;
  }
  const own = (headers as Record<string, unknown>)['server-timing'];
  return args.with(at, {
    ...headers,
    'server-timing': own === undefined ? value : `${[own].flat().join(', ')}, ${value}`,
  });
}
