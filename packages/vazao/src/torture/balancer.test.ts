import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Balancer, Refused } from './balancer.ts';
import type { Host } from './host.ts';
import { createRandom } from './random.ts';

const A = { name: 'A' } as Host;
const B = { name: 'B' } as Host;

function picks(balancer: Balancer, refused = new Refused(), nowMs = 0): string {
  const random = createRandom(1);
  const found = Array.from({ length: 50 }, () => balancer.pick(random, refused, nowMs).name);
  return [...new Set(found)].sort().join('');
}

test('any host, but none where very many more wait', () => {
  const balancer = new Balancer([A, B]);
  assert.equal(picks(balancer), 'AB');
  for (let count = 0; count < 100; count++) balancer.began(A);
  assert.equal(picks(balancer), 'B');
  assert.equal(balancer.isBehind(A, new Refused(), 0), true);
  for (let count = 0; count < 100; count++) balancer.began(B);
  assert.equal(picks(balancer), 'AB');
  for (let count = 0; count < 100; count++) balancer.ended(A);
  assert.equal(picks(balancer), 'A');
});

test('not the host that has just refused, unless there is no other', () => {
  const balancer = new Balancer([A, B]);
  const refused = new Refused();
  refused.add(A, createRandom(1), 1_000);
  assert.equal(picks(balancer, refused, 1_249), 'B');
  assert.equal(picks(balancer, refused, 1_501), 'AB');
  // However many wait at the only one that does not refuse.
  for (let count = 0; count < 100; count++) balancer.began(B);
  assert.equal(picks(balancer, refused, 1_249), 'B');
  assert.equal(balancer.isBehind(B, refused, 1_249), false);
  for (let count = 0; count < 100; count++) balancer.ended(B);
  refused.add(B, createRandom(1), 1_000);
  assert.equal(picks(balancer, refused, 1_100), 'AB');
});
