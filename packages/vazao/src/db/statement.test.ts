import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readStatement, readText } from './statement.ts';

test('reads each form that pg takes', () => {
  const callback = (): void => {};
  const forms: [unknown[], string, unknown[], unknown][] = [
    [['select 1'], 'select 1', [], undefined],
    [['select $1', [1]], 'select $1', ['1'], undefined],
    [['select 1', callback], 'select 1', [], callback],
    [['select $1', [null], callback], 'select $1', [null], callback],
    [['select 1', undefined, callback], 'select 1', [], callback],
    [[{ text: 'select $1', values: [[1, 2]] }], 'select $1', ['{"1","2"}'], undefined],
    [[{ text: 'select $1', values: [1] }, [2]], 'select $1', ['2'], undefined],
    [[{ text: 'select 1', callback }], 'select 1', [], callback],
  ];
  for (const [args, text, values, expected] of forms) {
    const statement = readStatement(args);
    assert.equal(readText(args[0]), text);
    assert.deepEqual([statement.text, statement.values, statement.callback], [text, values, expected]);
  }
});

test('later changes of the caller’s array do not reach it', () => {
  const values = [1];
  const { config } = readStatement(['select $1', values]);
  values[0] = 2;
  assert.deepEqual(config.values, ['1']);
});

test('what pg will refuse has no text that could be taken for a read', () => {
  const circular: Record<string, unknown> = {};
  circular.self = circular;
  for (const args of [['select $1', 'x'], ['select $1', [circular]], [{ name: 'x' }]]) {
    assert.equal(readStatement(args).text, '');
  }
});
