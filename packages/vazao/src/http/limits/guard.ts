/**
 * What is looked at before everything else, hits among it: what Node's parser lets through although RFC 9112 does not, the
 * length of the URL, the number of fields, and the outer fence.
 * It takes the place of the listeners on the server, as `hits/listener.ts` does, and hands on what may pass.
 */
import type { IncomingMessage, RequestListener, Server, ServerResponse } from 'node:http';
import { isOwnListener, ownListener } from '../own-listeners.ts';
import type { ClientAddress } from './client-address.ts';
import type { Fence } from './fence.ts';
import { seconds } from './rate-fields.ts';
import { type Refusal, type RefusalPage, refusal, writeRefusal } from './refusal.ts';

export interface GuardOptions {
  readonly urlMaxBytes: number;
  readonly headersMax: number;
  readonly addresses: ClientAddress;
  /** Undefined: addresses are not limited. */
  readonly fence: Fence | undefined;
  readonly page: RefusalPage;
  readonly onRefused: (refused: Refusal, request: GuardedRequest) => void;
}

/** What of a request the guard looks at. */
export type GuardedRequest = Pick<IncomingMessage, 'url' | 'rawHeaders' | 'socket' | 'httpVersionMajor'>;

export class Guard {
  readonly #options: GuardOptions;

  constructor(options: GuardOptions) {
    this.#options = options;
  }

  install(server: Server | object): void {
    const emitter = server as Server;
    const others = emitter.listeners('request') as RequestListener[];
    emitter.removeAllListeners('request');
    const listen = (request: IncomingMessage, response: ServerResponse): void => {
      const refused = this.refusalOf(request);
      if (refused) {
        this.#options.onRefused(refused, request);
        writeRefusal(request, response, refused, this.#options.page);
        return;
      }
      for (const listener of others) listener.call(emitter, request, response);
    };
    emitter.on('request', others.every(isOwnListener) ? ownListener(listen) : listen);
  }

  /** Undefined for a request that may pass, which then is counted. */
  refusalOf(request: GuardedRequest): Refusal | undefined {
    const { urlMaxBytes, headersMax, addresses, fence } = this.#options;
    if (!isWellFormed(request)) return refusal('ERR_LIMIT_MALFORMED');
    // Node reads a URL as latin1: a character is a byte.
    if ((request.url as string).length > urlMaxBytes) return refusal('ERR_LIMIT_URL');
    // Name and value each.
    if (request.rawHeaders.length > headersMax * 2) return refusal('ERR_LIMIT_HEADERS');
    if (!fence) return undefined;
    const waitMs = fence.pass(addresses.partitionOf(addresses.find(request)));
    if (waitMs <= 0) return undefined;
    return refusal('ERR_LIMIT_RATE', {
      retryAfter: Math.max(1, seconds(waitMs)),
      violatedPolicies: ['address'],
    });
  }
}

/** As RFC 9110, 4.2.1 and 7.2 have it: a name or an address, and a port. May be empty. */
const HOST = /^(?:[\w.~!$&'()*+,;=%-]*|\[[\da-fA-F:.]+\])(?::\d{0,5})?$/;

/**
 * A server in front may take the first of two `Host` fields and the next one the second; RFC 9112, 3.2 has both refused, and
 * Node takes the first. HTTP/0.9, which has no fields at all, ended in 1996.
 */
function isWellFormed({ rawHeaders, httpVersionMajor }: GuardedRequest): boolean {
  if (httpVersionMajor === 1) {
    let hosts = 0;
    for (let i = 0; i < rawHeaders.length; i += 2) {
      const name = rawHeaders[i] as string;
      if (name.length !== 4 || name.toLowerCase() !== 'host') continue;
      if (++hosts > 1 || !HOST.test(rawHeaders[i + 1] as string)) return false;
    }
  }
  return httpVersionMajor > 0;
}
