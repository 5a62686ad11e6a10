import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import { createAnalyzer, readAtLeisure } from './analyzer.ts';
import { describeTerm } from './describe.ts';
import { EXAMPLE_CATALOG } from './example-catalog.ts';
import type { LongReading } from './long-reading.ts';
import { loadParser } from './parse.ts';

before(() => loadParser());

const IDS = Array.from({ length: 100_000 }, (_, n) => n).join(', ');
const read = (text: string): LongReading => readAtLeisure(text, EXAMPLE_CATALOG.searchPath, EXAMPLE_CATALOG, []);

const READ: readonly (readonly [text: string, terms: readonly string[], refusal?: string])[] = [
  [`select t from a where id in (${IDS})`, ['a (*)']],
  [`/* all of them */ ((select t from a where id in (${IDS})))`, ['a (*)']],
  [`with x as (select id from b) select * from x join c on c.id = x.id where c.z in (${IDS})`, ['b (*)', 'c (*)']],
  [`select * from v where id in (${IDS})`, ['a (*)']],
  [`select reads_b(1), id from c where id in (${IDS})`, ['b (*)', 'c (*)']],
  [`values (1, ${IDS})`, []],
  [`select id from per_team where id in (${IDS})`, ['b (*)', 'per_team (*)']],
  [`select random() from a where id in (${IDS})`, ['a (*)'], 'volatile-function'],
  [`select id from unlogged where id in (${IDS})`, [], 'unlogged'],
  [`select id from nowhere where id in (${IDS})`, [], 'unknown-table'],
  [`with x as (insert into a values (1) returning id) select id from x where id in (${IDS})`, ['a (*)'], 'write'],
  [`select id from a where id in (${IDS}) for update`, ['a (*)'], 'lock'],
];

for (const [text, terms, refusal] of READ) {
  test(`${text.slice(0, 60)} …`, () => {
    const template = createAnalyzer(EXAMPLE_CATALOG, { findLongReading: read }).template(text);
    assert.equal(template.refusal?.code, refusal);
    if (refusal === undefined) {
      assert.deepEqual(template.bind([]).terms.map(describeTerm).sort(), terms);
      assert.ok(template.pure);
    }
  });
}

test('the time, settings and parameters are told', () => {
  const { usesTime, settings, parameterCount } = read(
    `select current_setting('app.tenant'), now() from a where k = $3 and id in (${IDS})`,
  );
  assert.deepEqual(
    { usesTime, settings, parameterCount },
    { usesTime: true, settings: ['app.tenant'], parameterCount: 3 },
  );
});

test('only a long SELECT is asked for, along the search path of its session, and its template is made once', () => {
  const asked: string[] = [];
  let reading: LongReading | undefined;
  const analyzer = createAnalyzer(EXAMPLE_CATALOG, {
    findLongReading(text, searchPath) {
      asked.push(`${text.slice(0, 8)} ${searchPath}`);
      return reading;
    },
  });
  const long = `select 1 from a where id in (${IDS})`;
  assert.equal(analyzer.template(long).refusal?.code, 'too-complex');
  assert.match(analyzer.template(long).refusal?.detail ?? '', /Ask again/);
  assert.ok(!analyzer.template(long).pure);
  reading = read(long);
  assert.equal(analyzer.template(long), analyzer.template(long));
  assert.deepEqual(analyzer.template(long).bind([]).terms.map(describeTerm), ['a (*)']);
  analyzer.withSearchPath(['pg_catalog', 'other'], 10).template(long);
  assert.deepEqual(new Set(asked), new Set(['select 1 pg_catalog,public', 'select 1 pg_catalog,other']));
  asked.length = 0;
  for (const text of [
    'select 1 from a where id in (1)',
    `insert into a (id) values (${IDS})`,
    `-- select\nupdate a set k = 1 where id in (${IDS})`,
    `${long} -- ${'x'.repeat(2 * 1024 * 1024)}`,
  ])
    assert.notEqual(analyzer.template(text).refusal?.detail, '', text.slice(0, 20));
  assert.deepEqual(asked, []);
});
