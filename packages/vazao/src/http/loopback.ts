import type { IncomingMessage } from 'node:http';

const LOOPBACK = ['127.0.0.1', '::1', '::ffff:127.0.0.1'];

/** Whether the connection comes from this machine, whatever the fields of the request say. */
export function isFromLoopback({ socket }: Pick<IncomingMessage, 'socket'>): boolean {
  return socket.remoteAddress !== undefined && LOOPBACK.includes(socket.remoteAddress);
}
