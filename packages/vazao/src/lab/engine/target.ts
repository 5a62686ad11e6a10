/** Whom the generator may ask: this machine, and hosts whose owner said so by name. */
import { lookup } from 'node:dns/promises';
import { BlockList, isIPv6 } from 'node:net';
import { LabError } from '../errors.ts';

export interface Target {
  /** Of the field `Host` and of results: `http://127.0.0.1:3000`. */
  readonly origin: string;
  /** An address, so that all threads ask the same machine. */
  readonly host: string;
  readonly port: number;
}

const LOOPBACK = new BlockList();
LOOPBACK.addSubnet('127.0.0.0', 8);
LOOPBACK.addAddress('::1', 'ipv6');

/** @param mine - a host that the caller says to own. Rejects with {@link LabError}. */
export async function resolveTarget(target: string, mine?: string | undefined): Promise<Target> {
  const url = URL.parse(target);
  if (url === null || url.protocol !== 'http:' || url.pathname !== '/' || url.search !== '' || url.username !== '') {
    throw new LabError(
      'ERR_LAB_TARGET',
      `The target is ${JSON.stringify(target)}; allowed is the origin of an HTTP server, as http://127.0.0.1:3000. TLS ends before the server: ask behind it.`,
    );
  }
  const name = url.hostname.replace(/^\[(.*)\]$/, '$1');
  const { address } = await lookup(name).catch((cause) => {
    throw new LabError('ERR_LAB_TARGET', `There is no host ${name}.`, { cause });
  });
  const isLoopback = LOOPBACK.check(address, isIPv6(address) ? 'ipv6' : 'ipv4');
  if (!isLoopback && mine?.toLowerCase() !== name.toLowerCase()) {
    throw new LabError(
      'ERR_LAB_TARGET',
      `${name} is not this machine. Load on a machine of others is an attack; if it is yours, say so: --target-is-mine ${name}`,
    );
  }
  return { origin: url.origin, host: address, port: Number(url.port || 80) };
}
