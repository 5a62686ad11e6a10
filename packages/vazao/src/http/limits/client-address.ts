/**
 * The address that a request is counted under. Behind a proxy the connection is the proxy's, and what it says of its client
 * stands in `Forwarded` (RFC 7239) or `X-Forwarded-For`; anybody can write these fields. So they are read only from proxies
 * that are named, from the last hop backwards, and end at the first address that is not one of them: what stands further
 * left was written by that client.
 */
import type { IncomingMessage } from 'node:http';
import { BlockList, isIP } from 'node:net';
import { HttpError } from '../errors.ts';

export interface ClientAddressOptions {
  /** Addresses and networks (`10.0.0.0/8`, `::1`) of the proxies in front; never "all". */
  readonly trustProxy: readonly string[];
  /** IPv6 addresses with these first bits in common count as one client: a household or a virtual machine has a whole /64. */
  readonly ipv6PrefixBits: number;
}

/** More hops than this are nobody's set-up. */
const HOPS_MAX = 32;

export class ClientAddress {
  readonly #trusted = new BlockList();
  readonly #hasProxies: boolean;
  readonly #prefixGroups: number;
  readonly #lastGroupMask: number;

  /** Throws {@link HttpError}. */
  constructor({ trustProxy, ipv6PrefixBits }: ClientAddressOptions) {
    this.#hasProxies = trustProxy.length > 0;
    for (const text of trustProxy) addNetwork(this.#trusted, text);
    if (!Number.isInteger(ipv6PrefixBits) || ipv6PrefixBits < 16 || ipv6PrefixBits > 128)
      throw new HttpError(
        'ERR_HTTP_LIMITS_OPTIONS',
        `ipv6PrefixBits is ${ipv6PrefixBits}; write a whole number from 16 to 128.`,
      );
    this.#prefixGroups = Math.ceil(ipv6PrefixBits / 16);
    const rest = ipv6PrefixBits % 16;
    this.#lastGroupMask = rest === 0 ? 0xffff : (0xffff << (16 - rest)) & 0xffff;
  }

  /** The client's address, as far as it can be believed; `unknown` for a connection that has none any more. */
  find({
    socket,
    rawHeaders,
  }: Pick<IncomingMessage, 'rawHeaders'> & { socket: { remoteAddress?: string | undefined } }): string {
    let address = plain(socket.remoteAddress ?? '');
    if (address === undefined) return 'unknown';
    if (!this.#hasProxies || !this.#isTrusted(address)) return address;
    const hops = readHops(rawHeaders);
    for (let i = hops.length - 1; i >= 0 && hops.length - i <= HOPS_MAX; i--) {
      const hop = plain(hops[i] as string);
      // What the proxy wrote is none ("unknown", a made-up name): the proxy's address is the last that is known.
      if (hop === undefined) return address;
      address = hop;
      if (!this.#isTrusted(hop)) return hop;
    }
    return address;
  }

  /** What the address is counted under: itself, or the network of an IPv6 address. */
  partitionOf(address: string): string {
    if (!address.includes(':')) return address;
    const groups = expand(address).slice(0, this.#prefixGroups);
    const last = groups.length - 1;
    groups[last] = (groups[last] as number) & this.#lastGroupMask;
    return `${groups.map((group) => group.toString(16)).join(':')}::`;
  }

  #isTrusted(address: string): boolean {
    return this.#trusted.check(address, address.includes(':') ? 'ipv6' : 'ipv4');
  }
}

/** Throws {@link HttpError}. */
function addNetwork(list: BlockList, text: string): void {
  const [address = '', bits] = text.split('/');
  const version = isIP(address);
  const max = version === 4 ? 32 : 128;
  const prefix = bits === undefined ? max : /^\d{1,3}$/.test(bits) ? Number(bits) : Number.NaN;
  // A network of all addresses is `true` in other words.
  if (version === 0 || !(prefix >= 1 && prefix <= max) || text.split('/').length > 2)
    throw new HttpError(
      'ERR_HTTP_LIMITS_OPTIONS',
      `trustProxy has ${JSON.stringify(text)}; name the proxies by their addresses or networks, such as 10.0.0.0/8 or ::1.`,
    );
  list.addSubnet(address, prefix, version === 4 ? 'ipv4' : 'ipv6');
}

/**
 * The addresses that the proxies wrote, first client first. `Forwarded` is read where it is there: a proxy that writes it
 * may pass an `X-Forwarded-For` of its client on as it came.
 */
function readHops(rawHeaders: readonly string[]): string[] {
  const read = (name: string): string[] => {
    const values: string[] = [];
    for (let i = 0; i < rawHeaders.length; i += 2) {
      if ((rawHeaders[i] as string).toLowerCase() === name) values.push(rawHeaders[i + 1] as string);
    }
    return values;
  };
  const forwarded = read('forwarded');
  if (forwarded.length > 0) return forwarded.flatMap(readForwarded);
  return read('x-forwarded-for').flatMap((value) => value.split(','));
}

/** One hop for each element; `?` where an element names nobody, which ends the way back there. */
function readForwarded(value: string): string[] {
  const hops: string[] = [];
  // A comma in a quoted value separates nothing.
  for (const [element] of value.matchAll(/(?:[^",]|"(?:\\.|[^"\\])*"?)+/g)) {
    const match = /(?:^|;)\s*for\s*=\s*(?:"((?:\\.|[^"\\])*)"|([^;,"\s]+))\s*(?=;|$)/i.exec(element.trim());
    hops.push((match?.[1]?.replaceAll(/\\(.)/g, '$1') ?? match?.[2] ?? '?').trim());
  }
  return hops;
}

/** The address without port, brackets, zone, and the IPv6 form of an IPv4 one; undefined when it is none. */
function plain(text: string): string | undefined {
  let address = text.trim();
  const bracketed = /^\[([^\]]+)\](?::\d{1,5})?$/.exec(address);
  if (bracketed) address = bracketed[1] as string;
  else if (/^[\d.]+:\d{1,5}$/.test(address)) address = address.slice(0, address.indexOf(':'));
  address = address.replace(/%.*$/, '').toLowerCase();
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/.exec(address);
  if (mapped) address = mapped[1] as string;
  return isIP(address) === 0 ? undefined : address;
}

/** The eight groups of an IPv6 address. */
function expand(address: string): number[] {
  const quad = /(\d+)\.(\d+)\.(\d+)\.(\d+)$/.exec(address);
  const text = quad
    ? address.slice(0, quad.index) +
      `${((Number(quad[1]) << 8) | Number(quad[2])).toString(16)}:${((Number(quad[3]) << 8) | Number(quad[4])).toString(16)}`
    : address;
  const [left = '', right] = text.split('::');
  const groups = (part: string): number[] =>
    part === '' ? [] : part.split(':').map((group) => Number.parseInt(group, 16));
  const before = groups(left);
  if (right === undefined) return before;
  const after = groups(right);
  return [...before, ...new Array<number>(8 - before.length - after.length).fill(0), ...after];
}
