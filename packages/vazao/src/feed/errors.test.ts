import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type FeedErrorCode, toFeedError } from './errors.ts';

const CASES: readonly (readonly [state: string | undefined, text: string, code: FeedErrorCode])[] = [
  ['53400', 'all replication slots are in use', 'ERR_FEED_NO_FREE_SLOT'],
  [
    '53300',
    'number of requested standby connections exceeds "max_wal_senders" (currently 1)',
    'ERR_FEED_NO_FREE_SENDER',
  ],
  ['53300', 'sorry, too many clients already', 'ERR_FEED_NO_FREE_CONNECTION'],
  ['55000', 'logical decoding requires "wal_level" >= "logical"', 'ERR_FEED_WAL_LEVEL'],
  ['08P01', 'unsupported startup parameter: replication', 'ERR_FEED_POOLER'],
  ['42601', 'syntax error at or near "IDENTIFY_SYSTEM"', 'ERR_FEED_POOLER'],
  ['42501', 'permission denied to start WAL sender', 'ERR_FEED_PRIVILEGE'],
  ['42501', 'must be owner of table t', 'ERR_FEED_PUBLICATION'],
  ['28P01', 'password authentication failed for user "x"', 'ERR_FEED_AUTHENTICATION'],
  ['57P03', 'the database system is starting up', 'ERR_FEED_CONNECTION'],
  ['3D000', 'database "x" does not exist', 'ERR_FEED_CONNECTION'],
  [undefined, 'connect ECONNREFUSED 127.0.0.1:1', 'ERR_FEED_CONNECTION'],
  ['XX000', 'something else', 'ERR_FEED_DATABASE'],
];

test('what PostgreSQL says becomes a stable code and a remedy, with its own words kept', () => {
  for (const [state, text, code] of CASES) {
    const cause = Object.assign(new Error(text), { code: state });
    const error = toFeedError(cause);
    assert.equal(error.code, code, text);
    assert.ok(error.message.includes(text));
    assert.equal(error.cause, cause);
    assert.equal(toFeedError(error), error);
  }
});
