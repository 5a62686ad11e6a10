/** Ports for servers that are started again on the same port. */
import { createServer } from 'node:net';
import { PartError } from './errors.ts';

/**
 * Below the range from which the system takes ports for outgoing connections (32768 on Linux, 49152 elsewhere): such a
 * connection may otherwise sit on the port when a server comes back to it.
 */
const PORT_MIN = 20_000;
const PORT_MAX = 32_000;
const TRIES_MAX = 200;

/** A port of 127.0.0.1 on which nothing listens. Should another program take it before it is used, the start fails and says so. */
export async function findFreePort(): Promise<number> {
  for (let tries = 0; tries < TRIES_MAX; tries += 1) {
    const port = PORT_MIN + Math.floor(Math.random() * (PORT_MAX - PORT_MIN));
    if (await isFree(port)) return port;
  }
  throw new PartError(
    'ERR_PART_START',
    `No free port from ${PORT_MIN} to ${PORT_MAX} on 127.0.0.1. End what holds them.`,
  );
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = createServer();
    probe.once('error', () => resolve(false));
    probe.listen(port, '127.0.0.1', () => probe.close(() => resolve(true)));
  });
}
