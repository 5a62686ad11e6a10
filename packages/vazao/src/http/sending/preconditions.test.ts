import assert from 'node:assert/strict';
import { test } from 'node:test';
import { evaluatePreconditions, parseHttpDate, readSendingFields, type Verdict } from './preconditions.ts';

const DATE = 'Sun, 06 Nov 1994 08:49:37 GMT';
const BEFORE = 'Sun, 06 Nov 1994 08:49:36 GMT';
const MS = Date.UTC(1994, 10, 6, 8, 49, 37);

test('the fields are found in any spelling of their names, and lists that come in pieces are put together', () => {
  const fields = readSendingFields(
    [
      'Host',
      'x',
      'ACCEPT-ENCODING',
      'gzip',
      'if-none-match',
      '"a"',
      'Accept-Encoding',
      'br',
      'If-None-Match',
      '"b"',
    ].concat(
      ['If-Match', '"c"', 'RANGE', 'bytes=0-1', 'If-Modified-Since', DATE, 'If-Modified-Since', 'x'],
      ['If-Unmodified-Since', DATE, 'Accept-Charsets', 'utf-8', 'X-Match1', '1'],
    ),
  );
  assert.deepEqual(fields, {
    accept: undefined,
    acceptEncoding: 'gzip, br',
    ifMatch: '"c"',
    ifNoneMatch: '"a", "b"',
    ifModifiedSince: DATE,
    ifUnmodifiedSince: DATE,
    hasRange: true,
  });
});

test('dates in the three forms of RFC 9110 (5.6.7) are one moment, and what is none is ignored', () => {
  for (const text of [DATE, 'Sunday, 06-Nov-94 08:49:37 GMT', 'Sun Nov  6 08:49:37 1994'])
    assert.equal(parseHttpDate(text, Date.UTC(2026, 0)), MS, text);
  assert.equal(parseHttpDate('Wednesday, 01-Jan-70 00:00:00 GMT', Date.UTC(2026, 0)), Date.UTC(2070, 0));
  assert.equal(parseHttpDate('Friday, 01-Jan-77 00:00:00 GMT', Date.UTC(2026, 0)), Date.UTC(1977, 0));
  for (const text of [
    '',
    '0',
    '1994-11-06T08:49:37Z',
    'Sun, 06 Nov 1994 08:49:37 +0100',
    'Sun, 6 Nov 1994 08:49:37 GMT',
    'Sun, 31 Feb 1994 08:49:37 GMT',
    'Sun, 06 Nov 1994 24:49:37 GMT',
    'sun, 06 nov 1994 08:49:37 gmt',
  ])
    assert.equal(parseHttpDate(text), undefined, text);
});

test('preconditions are evaluated in the order of RFC 9110 (13.2.2)', () => {
  const validators = { etags: ['"v1-gzip"', '"v1"', '"v1-br"'], lastModifiedMs: MS };
  const send: Verdict = 'send';
  const failed: Verdict = 'precondition failed';
  const cases: [fields: Record<string, string>, verdict: Verdict][] = [
    [{}, send],
    // 1. If-Match, by strong comparison.
    [{ 'if-match': '"v1"' }, send],
    [{ 'if-match': '*' }, send],
    [{ 'if-match': '"x", "v1-br"' }, send],
    [{ 'if-match': '"x"' }, failed],
    [{ 'if-match': 'W/"v1"' }, failed],
    [{ 'if-match': '"v1"', 'if-none-match': '"v1"' }, { notModified: '"v1"' }],
    [{ 'if-match': '"x"', 'if-none-match': '"v1"' }, failed],
    // 2. If-Unmodified-Since, unless there is If-Match.
    [{ 'if-unmodified-since': DATE }, send],
    [{ 'if-unmodified-since': BEFORE }, failed],
    [{ 'if-unmodified-since': BEFORE, 'if-match': '"v1"' }, send],
    [{ 'if-unmodified-since': 'yesterday' }, send],
    // 3. If-None-Match, by weak comparison, of any of the codings.
    [{ 'if-none-match': '"v1"' }, { notModified: '"v1"' }],
    [{ 'if-none-match': '"x", W/"v1-br"' }, { notModified: '"v1-br"' }],
    [{ 'if-none-match': '*' }, { notModified: '"v1-gzip"' }],
    [{ 'if-none-match': '"v1-zstd"' }, send],
    // 4. If-Modified-Since, unless there is If-None-Match.
    [{ 'if-modified-since': DATE }, { notModified: undefined }],
    [{ 'if-modified-since': BEFORE }, send],
    [{ 'if-modified-since': DATE, 'if-none-match': '"x"' }, send],
    [{ 'if-modified-since': 'soon' }, send],
  ];
  for (const [fields, verdict] of cases)
    assert.deepEqual(
      evaluatePreconditions(readSendingFields(Object.entries(fields).flat()), validators),
      verdict,
      JSON.stringify(fields),
    );
  // Without a date of the answer there is nothing to compare with (13.1.3, 13.1.4).
  const undated = { etags: ['W/"v1"'], lastModifiedMs: undefined };
  for (const name of ['if-modified-since', 'if-unmodified-since'])
    assert.equal(evaluatePreconditions(readSendingFields([name, BEFORE]), undated), 'send');
  assert.equal(evaluatePreconditions(readSendingFields(['if-match', 'W/"v1"']), undated), failed);
  assert.deepEqual(evaluatePreconditions(readSendingFields(['if-none-match', '"v1"']), undated), {
    notModified: 'W/"v1"',
  });
});
