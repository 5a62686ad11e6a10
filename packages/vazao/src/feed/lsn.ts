/** LSNs: places in the WAL of one timeline. Inside they are `bigint`; PostgreSQL prints them as two hexadecimal halves, `16/B374D848`. */
import { FeedError } from './errors.ts';

export function parseLsn(text: string): bigint {
  const match = /^([0-9A-F]{1,8})\/([0-9A-F]{1,8})$/i.exec(text);
  if (!match) throw new FeedError('ERR_FEED_PROTOCOL', `Not a WAL position: ${JSON.stringify(text)}`);
  return (BigInt(`0x${match[1]}`) << 32n) | BigInt(`0x${match[2]}`);
}

export function formatLsn(lsn: bigint): string {
  return `${(lsn >> 32n).toString(16).toUpperCase()}/${(lsn & 0xffffffffn).toString(16).toUpperCase()}`;
}
