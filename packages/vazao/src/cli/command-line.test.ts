import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseCommandLine, UsageError } from './command-line.ts';

test('commands and their words', () => {
  assert.deepEqual(parseCommandLine(['dev', 'conectades']), { command: 'dev', application: 'conectades' });
  assert.deepEqual(parseCommandLine(['explain', '--json', '/a?b=1']), {
    command: 'explain',
    url: '/a?b=1',
    json: true,
  });
  assert.deepEqual(
    parseCommandLine([
      'explain',
      '--sql',
      '-',
      'notes',
      '--param',
      '-5',
      '--param=',
      '--param',
      '\\N',
      '--declare=s.f=a,s.b',
    ]),
    {
      command: 'explain-statement',
      sql: '-',
      parameters: ['-5', '', null],
      searchPath: undefined,
      declared: [{ name: 's.f', reads: ['a', 's.b'] }],
      application: 'notes',
      json: false,
    },
  );
  assert.deepEqual(parseCommandLine(['doctor']), { command: 'doctor', application: undefined, json: false });
  assert.deepEqual(parseCommandLine(['dev', '--help']), { command: 'help' });
  assert.deepEqual(parseCommandLine(['-v']), { command: 'version' });
});

const REFUSED: readonly [words: string[], message: string][] = [
  [[], 'Which command? Known are dev, start, config, explain, doctor, torture and lab; `vazao --help` tells more.'],
  [['strat', 'x'], 'There is no command strat. Did you mean start?'],
  [['constructor'], 'There is no command constructor.'],
  [['doctor', '--jason'], '`vazao doctor` has no option --jason. Did you mean --json?'],
  [['dev', 'x', '-q'], '`vazao dev` has no option -q.'],
  [['dev', 'x', '--json'], '`vazao dev` has no option --json.'],
  [['doctor', '--json=yes'], '--json takes no value.'],
  [['dev', 'x', '--sql', 'select 1'], '`vazao dev` has no option --sql.'],
  [['explain', '--sql'], '--sql needs a value.'],
  [['explain', '--sql', ' '], '--sql needs a statement, or - for the standard input.'],
  [['explain', '--sql', 'a', '--sql', 'b'], '--sql is given twice.'],
  [
    ['explain', '/x', '--param', '1'],
    "--param goes with --sql. Usage: vazao explain <url>, or vazao explain --sql '<statement>' [app]",
  ],
  [
    ['explain', '--sql', 'a', '--declare', 'f'],
    '--declare f says not what it reads: name=arguments, or name=table,table.',
  ],
  [['explain', '--sql', 'a', '--declare', 'f='], '--declare f=: f reads "", which is no table; write schema.name.'],
  [['dev'], 'Something is missing. Usage: vazao dev <app>'],
  [['dev', 'a', 'b'], 'One word too many: b. Usage: vazao dev <app>'],
];
for (const [words, message] of REFUSED) {
  test(`refuses: vazao ${words.join(' ')}`, () => {
    assert.throws(
      () => parseCommandLine(words),
      (error: Error) => {
        assert.ok(error instanceof UsageError);
        assert.equal(error.message, message);
        return true;
      },
    );
  });
}
