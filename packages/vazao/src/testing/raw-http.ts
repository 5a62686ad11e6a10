/** HTTP as it is on the wire, for what no client library would send. */
import { connect, type Socket } from 'node:net';

export interface RawAnswer {
  readonly status: number;
  /** Names in lower case; what comes several times is one list, with commas. */
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

export interface RawExchange {
  /** The answers that came, in their order. */
  readonly answers: readonly RawAnswer[];
  /** The server has closed the connection. */
  readonly closed: boolean;
  readonly bytes: string;
}

const QUIET_MS = 20_000;

/**
 * Sends the bytes on a connection of its own, and reads until the server closes it, or until so many answers are complete.
 * @param count - answers to wait for
 */
export async function exchange(origin: string, bytes: string | Buffer, count = 1): Promise<RawExchange> {
  const socket = open(origin);
  socket.write(typeof bytes === 'string' ? Buffer.from(bytes, 'latin1') : bytes);
  return read(socket, count);
}

export function open(origin: string): Socket {
  const { hostname, port } = new URL(origin);
  return connect({ host: hostname, port: Number(port), noDelay: true });
}

/** Reads until the connection is closed, or so many answers are complete; then closes it. */
export function read(socket: Socket, count: number): Promise<RawExchange> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    const late = setTimeout(() => done(false, new Error(`no ${count} answers within ${QUIET_MS} ms`)), QUIET_MS);
    const done = (closed: boolean, error?: Error): void => {
      clearTimeout(late);
      socket.destroy();
      const bytes = Buffer.concat(chunks).toString('latin1');
      if (error) reject(error);
      else resolve({ answers: parseAnswers(bytes).answers, closed, bytes });
    };
    socket.on('data', (chunk: Buffer) => {
      chunks.push(chunk);
      if (parseAnswers(Buffer.concat(chunks).toString('latin1')).answers.length >= count) done(false);
    });
    // A reset is an end, too: the server would not wait for what it had refused.
    socket.on('error', () => done(true));
    socket.on('close', () => done(true));
  });
}

/** The complete answers at the beginning of the bytes; a body without a length is what remains. */
export function parseAnswers(bytes: string): { readonly answers: RawAnswer[]; readonly rest: string } {
  const answers: RawAnswer[] = [];
  let rest = bytes;
  for (;;) {
    const end = rest.indexOf('\r\n\r\n');
    if (end < 0) return { answers, rest };
    const [statusLine = '', ...fields] = rest.slice(0, end).split('\r\n');
    const status = Number(/^HTTP\/1\.[01] (\d{3})/.exec(statusLine)?.[1] ?? Number.NaN);
    const headers: Record<string, string> = {};
    for (const field of fields) {
      const at = field.indexOf(':');
      const name = field.slice(0, at).toLowerCase();
      const value = field.slice(at + 1).trim();
      headers[name] = headers[name] === undefined ? value : `${headers[name]}, ${value}`;
    }
    const after = rest.slice(end + 4);
    let body = '';
    let used = 0;
    if (status === 100 || status === 204 || status === 304) {
      used = 0;
    } else if (headers['transfer-encoding'] === 'chunked') {
      let at = 0;
      for (;;) {
        const line = after.indexOf('\r\n', at);
        if (line < 0) return { answers, rest };
        const size = Number.parseInt(after.slice(at, line), 16);
        if (after.length < line + 2 + size + 2) return { answers, rest };
        body += after.slice(line + 2, line + 2 + size);
        at = line + 2 + size + 2;
        if (size === 0) break;
      }
      used = at;
    } else {
      used = Number(headers['content-length'] ?? after.length);
      if (after.length < used) return { answers, rest };
      body = after.slice(0, used);
    }
    if (status !== 100) answers.push({ status, headers, body });
    rest = after.slice(used);
  }
}
