/**
 * What a client may send, and in which time: bounds that Node's HTTP server and Fastify keep. Those of the parser hold
 * before there is a request, so that they can only be given when the server is made.
 */

import type { IncomingMessage, Server, ServerOptions, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { FastifyServerOptions } from 'fastify';
import { formatLastMessage, type RefusalCode, refusal } from './refusal.ts';

export interface ServerBounds {
  /** The request line and all fields together. @defaultValue 16 KiB */
  readonly headerMaxBytes?: number | undefined;
  /** From the first byte of a request to the end of its fields. @defaultValue 10 s */
  readonly headerTimeoutMs?: number | undefined;
  /** From the first byte of a request to the last of its body. @defaultValue 30 s */
  readonly requestTimeoutMs?: number | undefined;
  /** From the first byte of a request that was routed to its answer; then 503. @defaultValue 30 s */
  readonly answerTimeoutMs?: number | undefined;
  /** For how long a connection without a request stays open. Longer than that of the proxy in front. @defaultValue 72 s */
  readonly keepAliveTimeoutMs?: number | undefined;
  /** Bodies of routes that have no `bodyLimit` of their own; then 413. @defaultValue 1 MiB */
  readonly bodyMaxBytes?: number | undefined;
}

/** How often Node looks for requests that are too slow; they are cut off that much later at most. */
const CHECK_EVERY_MS = 1_000;

/**
 * Options for `fastify(…)` that set these bounds, and answer what breaks them with problem details. The bounds on URLs,
 * fields, slow readers and connections are those of the plugin.
 */
export function serverOptions(bounds: ServerBounds = {}): FastifyServerOptions & { readonly http: ServerOptions } {
  const { requestTimeoutMs = 30_000, headerTimeoutMs = 10_000, keepAliveTimeoutMs = 72_000 } = bounds;
  return {
    http: {
      maxHeaderSize: bounds.headerMaxBytes ?? 16 * 1024,
      headersTimeout: Math.min(headerTimeoutMs, requestTimeoutMs),
      connectionsCheckingInterval: Math.min(CHECK_EVERY_MS, headerTimeoutMs, requestTimeoutMs),
      requireHostHeader: true,
      insecureHTTPParser: false,
    },
    requestTimeout: requestTimeoutMs,
    keepAliveTimeout: keepAliveTimeoutMs,
    bodyLimit: bounds.bodyMaxBytes ?? 1024 * 1024,
    handlerTimeout: bounds.answerTimeoutMs ?? 30_000,
    clientErrorHandler: (error, socket) => answerClientError(error, socket),
  };
}

const CODES: Readonly<Record<string, RefusalCode>> = {
  ERR_HTTP_REQUEST_TIMEOUT: 'ERR_LIMIT_SLOW_REQUEST',
  HPE_HEADER_OVERFLOW: 'ERR_LIMIT_HEADERS',
  HPE_CHUNK_EXTENSIONS_OVERFLOW: 'ERR_LIMIT_BODY',
};

type AnsweringSocket = Socket & { _httpMessage?: (ServerResponse & { readonly req: IncomingMessage }) | null };

/** What the parser refuses has no request that could be answered: the last message goes straight to the socket. */
function answerClientError(error: { readonly code?: string }, socket: AnsweringSocket): void {
  if (error.code === 'ECONNRESET' || socket.destroyed) return;
  const answering = socket._httpMessage;
  // Of several requests sent at once, those before the bad one get their answers first: in this order the client reads them.
  if (answering?.req.complete && !answering.writableFinished) {
    answering.once('close', () => setImmediate(() => answerClientError(error, socket)));
    return;
  }
  // In the middle of its own answer, a message would be read as part of that.
  if (socket.writable && !answering?.headersSent)
    socket.write(formatLastMessage(refusal(CODES[error.code ?? ''] ?? 'ERR_LIMIT_MALFORMED')));
  socket.destroySoon();
}

/** Ends a connection whose request arrives too slowly, as Node's own check of the time does. */
export function answerSlowRequest(socket: Socket): void {
  answerClientError({ code: 'ERR_HTTP_REQUEST_TIMEOUT' }, socket);
}

export interface ConnectionBounds {
  /** Connections that the process holds open; those beyond are closed at once. */
  readonly connectionsMax: number;
  /** Fields of a request; then 431. */
  readonly headersMax: number;
  /** How long an answer may wait for a client that reads nothing of it, before its bytes are counted. */
  readonly readStallMs: number;
  /** Beyond that, the time that what waits takes at this pace. */
  readonly readMinBytesPerSecond: number;
}

/** The bounds that can be set on a server that is there. */
export function boundConnections(server: Server, { connectionsMax, headersMax }: ConnectionBounds): void {
  server.maxConnections = connectionsMax;
  // Node leaves out what is beyond, silently; with one more than is allowed, the guard sees it and refuses.
  server.maxHeadersCount = headersMax + 1;
}
