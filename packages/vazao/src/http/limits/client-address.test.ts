import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ClientAddress } from './client-address.ts';

function find(trustProxy: string[], remoteAddress: string | undefined, ...rawHeaders: string[]): string {
  return new ClientAddress({ trustProxy, ipv6PrefixBits: 64 }).find({ socket: { remoteAddress }, rawHeaders } as never);
}

const PROXY = '10.0.0.1';
const XFF = 'X-Forwarded-For';
const cases: readonly [what: string, expected: string, actual: () => string][] = [
  [
    'nobody is trusted: the field of the client is not read',
    '203.0.113.9',
    () => find([], '203.0.113.9', XFF, '1.2.3.4'),
  ],
  [
    'a connection from elsewhere is not the proxy',
    '203.0.113.9',
    () => find(['10.0.0.0/8'], '203.0.113.9', XFF, '1.2.3.4'),
  ],
  ['the proxy names its client', '203.0.113.9', () => find(['10.0.0.0/8'], PROXY, XFF, '203.0.113.9')],
  [
    'what the client wrote stands further left',
    '203.0.113.9',
    () => find(['10.0.0.0/8'], PROXY, XFF, '1.2.3.4, 203.0.113.9'),
  ],
  [
    'two fields are one list',
    '203.0.113.9',
    () => find(['10.0.0.0/8'], PROXY, XFF, '1.2.3.4', 'x-forwarded-for', '203.0.113.9'),
  ],
  [
    'a client that claims to be a proxy is believed no more than what the proxy saw',
    '203.0.113.9',
    () => find(['10.0.0.0/8'], PROXY, XFF, '1.2.3.4, 10.9.9.9, 203.0.113.9'),
  ],
  ['two proxies in a row', '203.0.113.9', () => find(['10.0.0.0/8'], PROXY, XFF, '203.0.113.9, 10.0.0.2')],
  ['all are proxies: the first', '10.0.0.3', () => find(['10.0.0.0/8'], PROXY, XFF, '10.0.0.3, 10.0.0.2')],
  ['a made-up name ends the way back', PROXY, () => find(['10.0.0.0/8'], PROXY, XFF, '203.0.113.9, evil')],
  ['an empty field', PROXY, () => find(['10.0.0.0/8'], PROXY, XFF, '')],
  ['with a port', '203.0.113.9', () => find([PROXY], PROXY, XFF, '203.0.113.9:4711')],
  [
    'IPv4 in IPv6, as a socket for both tells it',
    '203.0.113.9',
    () => find([PROXY], '::ffff:10.0.0.1', XFF, '::FFFF:203.0.113.9'),
  ],
  ['Forwarded', '203.0.113.9', () => find([PROXY], PROXY, 'Forwarded', 'for=203.0.113.9;proto=https;by=10.0.0.1')],
  ['Forwarded, IPv6 with a port', '2001:db8::17', () => find([PROXY], PROXY, 'Forwarded', 'For="[2001:db8::17]:4711"')],
  [
    'Forwarded, several elements',
    '203.0.113.9',
    () => find([PROXY], PROXY, 'Forwarded', 'for=1.2.3.4, for="203.0.113.9"'),
  ],
  [
    'Forwarded, a comma in a quoted value',
    '203.0.113.9',
    () => find([PROXY], PROXY, 'Forwarded', 'host="a,for=1.2.3.4";for=203.0.113.9'),
  ],
  [
    'Forwarded, an unknown and a hidden one',
    PROXY,
    () => find([PROXY], PROXY, 'Forwarded', 'for=203.0.113.9, for=unknown, for=_hidden'),
  ],
  [
    'Forwarded wins over a field that the proxy passes on',
    '203.0.113.9',
    () => find([PROXY], PROXY, XFF, '1.2.3.4', 'Forwarded', 'for=203.0.113.9'),
  ],
  ['an element without for', PROXY, () => find([PROXY], PROXY, 'Forwarded', 'for=203.0.113.9, proto=https')],
  ['an unfinished quotation', PROXY, () => find([PROXY], PROXY, 'Forwarded', 'for="203.0.113.9')],
  ['an IPv6 proxy', '203.0.113.9', () => find(['fd00::/8'], 'fd12::1', XFF, '203.0.113.9')],
  ['a connection that is gone', 'unknown', () => find([], undefined)],
];

for (const [what, expected, actual] of cases) test(`address: ${what}`, () => assert.equal(actual(), expected));

test('a long list is read from its end, and not to its beginning', () => {
  const many = Array.from({ length: 10_000 }, (_, i) => `10.1.${i >> 8}.${i & 255}`).join(', ');
  assert.match(find(['10.0.0.0/8'], PROXY, XFF, `203.0.113.9, ${many}`), /^10\./);
});

test('IPv6 addresses of one network count as one, and IPv4 addresses each for itself', () => {
  const partition = (address: string, ipv6PrefixBits = 64): string =>
    new ClientAddress({ trustProxy: [], ipv6PrefixBits }).partitionOf(address);
  assert.equal(partition('2001:db8:1:2:3:4:5:6'), '2001:db8:1:2::');
  assert.equal(partition('2001:db8:1:2::1'), '2001:db8:1:2::');
  assert.notEqual(partition('2001:db8:1:3::1'), partition('2001:db8:1:2::1'));
  assert.equal(partition('2001:db8::'), '2001:db8:0:0::');
  assert.equal(partition('::1'), '0:0:0:0::');
  assert.equal(partition('2001:db8:1:2ff::1', 56), '2001:db8:1:200::');
  assert.equal(partition('64:ff9b::203.0.113.9', 128), '64:ff9b:0:0:0:0:cb00:7109::');
  assert.equal(partition('203.0.113.9'), '203.0.113.9');
});

test('proxies are named: neither all, nor none, nor what is no address', () => {
  for (const text of [
    'true',
    '*',
    '0.0.0.0/0',
    '::/0',
    '10.0.0.0/33',
    '10.0.0.0/8/8',
    '10.0.0',
    'loopback',
    '10.0.0.1/',
  ])
    assert.throws(
      () => new ClientAddress({ trustProxy: [text], ipv6PrefixBits: 64 }),
      /ERR_HTTP_LIMITS_OPTIONS|name the proxies/,
      text,
    );
  assert.throws(() => new ClientAddress({ trustProxy: [], ipv6PrefixBits: 8 }), /from 16 to 128/);
});
