/** A client of streams of events, by the HTML standard's rules for reading them (9.2.6), over a connection of its own. */
import assert from 'node:assert/strict';
import { type ClientRequest, type IncomingHttpHeaders, type IncomingMessage, request } from 'node:http';
import { setTimeout as delay } from 'node:timers/promises';

export interface ServerEvent {
  readonly event: string;
  readonly data: string;
  readonly id: string;
}

const WAIT_MS = 10_000;

export class EventClient implements Disposable {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly events: ServerEvent[] = [];
  /** Values of `retry`, in milliseconds. */
  readonly retries: number[] = [];
  comments = 0;
  isEnded = false;
  /** The body as it came, of what is no stream. */
  text = '';
  readonly #request: ClientRequest;
  readonly #response: IncomingMessage;
  #rest = '';
  #event = '';
  #id = '';
  #data: string[] = [];
  #read = 0;

  constructor(client: ClientRequest, response: IncomingMessage) {
    this.#request = client;
    this.#response = response;
    this.status = response.statusCode ?? 0;
    this.headers = response.headers;
    response.setEncoding('utf8');
    response.on('data', (text: string) => this.#take(text));
    response.on('error', () => {});
    response.on('close', () => {
      this.isEnded = true;
    });
  }

  /** The next event that was not returned before. */
  async next(): Promise<ServerEvent> {
    await this.until('an event', () => this.events.length > this.#read);
    return this.events[this.#read++] as ServerEvent;
  }

  async nextJson(): Promise<unknown> {
    return JSON.parse((await this.next()).data);
  }

  async until(what: string, isTrue: () => boolean): Promise<void> {
    const deadline = Date.now() + WAIT_MS;
    while (!isTrue()) {
      assert.ok(Date.now() < deadline, `${what} within ${WAIT_MS} ms`);
      await delay(2);
    }
  }

  /** Reads nothing until {@link EventClient.resume}. */
  pause(): void {
    this.#response.pause();
    this.#response.socket.pause();
  }

  resume(): void {
    this.#response.socket.resume();
    this.#response.resume();
  }

  [Symbol.dispose](): void {
    this.#request.destroy();
  }

  #take(text: string): void {
    this.text += text;
    const lines = (this.#rest + text).split('\n');
    this.#rest = lines.pop() as string;
    for (const line of lines) this.#takeLine(line);
  }

  #takeLine(line: string): void {
    if (line === '') {
      if (this.#data.length > 0)
        this.events.push({ event: this.#event || 'message', data: this.#data.join('\n'), id: this.#id });
      this.#data = [];
      this.#event = '';
      return;
    }
    if (line.startsWith(':')) {
      this.comments++;
      return;
    }
    const [, name, value = ''] = /^([^:]*)(?:: ?(.*))?$/s.exec(line) as RegExpExecArray;
    if (name === 'event') this.#event = value;
    else if (name === 'data') this.#data.push(value);
    else if (name === 'id') this.#id = value;
    else if (name === 'retry' && /^\d+$/.test(value)) this.retries.push(Number(value));
  }
}

/** Resolves when the head of the answer is there. */
export async function openEvents(
  url: string,
  headers: Readonly<Record<string, string>> = {},
  method = 'GET',
): Promise<EventClient> {
  const sent = request(url, { method, headers: { accept: 'text/event-stream', ...headers }, agent: false });
  const { promise, resolve, reject } = Promise.withResolvers<EventClient>();
  sent.on('error', reject);
  sent.on('response', (response) => resolve(new EventClient(sent, response)));
  sent.end();
  return promise;
}
