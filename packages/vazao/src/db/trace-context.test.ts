/** The rules of W3C Trace Context, level 2: sections 3.2 (traceparent) and 3.3 (tracestate). */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { runInContext } from './context.ts';
import { createTraceContext, traceHeaders } from './trace-context.ts';

const TRACE = '0af7651916cd43dd8448eb211c80319c';
const SPAN = 'b7ad6b7169203331';
const GOOD = `00-${TRACE}-${SPAN}-01`;

test('a trace is continued under a span of our own', () => {
  const trace = createTraceContext(GOOD, 'rojo=00f067aa0ba902b7, congo=t61rcWkgMzE');
  assert.ok(trace);
  const sent = runInContext({ fill: undefined, position: 0n, trace }, traceHeaders);
  assert.match(sent.traceparent ?? '', new RegExp(`^00-${TRACE}-[0-9a-f]{16}-01$`));
  assert.ok(!sent.traceparent?.includes(SPAN));
  assert.equal(sent.tracestate, 'rojo=00f067aa0ba902b7,congo=t61rcWkgMzE');
  const again = createTraceContext(sent.traceparent, sent.tracestate);
  assert.deepEqual([again?.traceId, again?.parentId], [TRACE, trace.spanId]);
});

test('without a trace nothing is sent on', () => {
  assert.deepEqual(traceHeaders(), {});
  assert.deepEqual(runInContext({ fill: undefined, position: 0n }, traceHeaders), {});
});

for (const [what, field] of [
  ['nothing', undefined],
  ['an empty field', ''],
  ['upper case', GOOD.toUpperCase()],
  ['a trace id of zeros', `00-${'0'.repeat(32)}-${SPAN}-01`],
  ['a parent id of zeros', `00-${TRACE}-${'0'.repeat(16)}-01`],
  ['the forbidden version', `ff-${TRACE}-${SPAN}-01`],
  ['version 00 with more behind', `${GOOD}-what-the-future-will-be-like`],
  ['version 00 with a dash behind', `${GOOD}-`],
  ['a later version with more, and no dash between', `cc-${TRACE}-${SPAN}-01.what`],
  ['a short trace id', `00-${TRACE.slice(1)}-${SPAN}-01`],
  ['a long parent id', `00-${TRACE}-${SPAN}0-01`],
  ['flags that are no digits', `00-${TRACE}-${SPAN}-0x`],
  ['two fields, as Node joins them', `${GOOD}, ${GOOD}`],
  ['a space before', ` ${GOOD}`],
  ['a line break behind', `${GOOD}\n`],
] as const) {
  test(`${what} is no trace`, () => assert.equal(createTraceContext(field, 'a=1'), undefined));
}

test('a later version is read as far as it is known', () => {
  for (const field of [`cc-${TRACE}-${SPAN}-01`, `cc-${TRACE}-${SPAN}-01-more`]) {
    assert.equal(createTraceContext(field, undefined)?.traceId, TRACE);
  }
});

test('flags that are not defined are not passed on', () => {
  assert.equal(createTraceContext(`00-${TRACE}-${SPAN}-ff`, undefined)?.flags, 3);
  assert.equal(createTraceContext(`00-${TRACE}-${SPAN}-00`, undefined)?.flags, 0);
});

for (const [what, state, expected] of [
  ['none', undefined, undefined],
  ['one member', 'a=1', 'a=1'],
  ['spaces around members, and empty ones', ' a=1 ,, b=2,\tc=3', 'a=1,b=2,c=3'],
  ['several fields', ['a=1', 'b=2'], 'a=1,b=2'],
  ['keys of tenants', '0tenant@vendor=x y', '0tenant@vendor=x y'],
  ['33 members', Array.from({ length: 33 }, (_, i) => `k${i}=1`).join(','), undefined],
  [
    '32 members',
    Array.from({ length: 32 }, (_, i) => `k${i}=1`).join(','),
    Array.from({ length: 32 }, (_, i) => `k${i}=1`).join(','),
  ],
  ['the same key twice', 'a=1,b=2,a=3', undefined],
  ['an upper-case key', 'A=1', undefined],
  ['no value', 'a=', undefined],
  ['no key', '=1', undefined],
  ['an equals sign in a value', 'a=1=2', undefined],
  ['a key of 257 characters', `${'k'.repeat(257)}=1`, undefined],
  ['a value of 257 characters', `a=${'v'.repeat(257)}`, undefined],
  ['a value with a line break', 'a=1\nb', undefined],
  ['more than is looked at', Array.from({ length: 20 }, (_, i) => `k${i}=${'v'.repeat(200)}`).join(','), undefined],
] as const) {
  test(`tracestate: ${what}`, () => {
    const trace = createTraceContext(GOOD, state);
    assert.equal(trace?.traceId, TRACE);
    assert.equal(trace.state, expected);
  });
}
