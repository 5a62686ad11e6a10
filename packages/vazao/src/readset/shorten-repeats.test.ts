import assert from 'node:assert/strict';
import { before, describe, it, test } from 'node:test';
import fc from 'fast-check';
import { createAnalyzer } from './analyzer.ts';
import { describeTerm } from './describe.ts';
import { EXAMPLE_CATALOG } from './example-catalog.ts';
import { loadParser, parseTree } from './parse.ts';
import { scanTokens } from './scan-tokens.ts';
import { shortenRepeats } from './shorten-repeats.ts';
import type { Template } from './template.ts';

const SEED = Number(process.env.VAZAO_SEED ?? Math.floor(Math.random() * 2 ** 31));

before(() => loadParser());

const SHORTENED: readonly (readonly [text: string, shortened: string | undefined])[] = [
  ['select 1 from a where id in (1, 2, 3, 4, 5)', 'select 1 from a where id in (1, 2, 4, 5)'],
  ['in ( 1,-2.5 ,3\n, 4,-5,7 )', 'in ( 1,-2.5 ,-5,7 )'],
  ["in ('a', 'it''s', ',', ')', 'x')", "in ('a', 'it''s', ')', 'x')"],
  ['array[1, 2, 3, 4, 5] || (4, 5, 6, 7, 8)', 'array[1, 2, 4, 5] || (4, 5, 7, 8)'],
  ['x in ($1, $2, $3, $4, $5) and y in ($1, $2, $3, $4, $5)', 'x in ($1, $2, $4, $5) and y in ($1, $2, $4, $5)'],
  ["(1, null, 'x', true, 1e-5, 0xff, b'1', e'a', $$;$$, .5)", "('a', null, $$;$$, .5)"],
  ["values (1,'a'),(2,'b'),(3,null),(4,'x'),(5,'y')", "values (1,'a'),(2,'b'),(4,'x'),(5,'y')"],
  [
    'values (1,2,3,4,5),(1,2,3,4,5),(1,2,3,4,5),(6,7,8,9,0),(1,2,3,4,5)',
    'values (1,2,4,5),(1,2,4,5),(6,7,9,0),(1,2,4,5)',
  ],
  [
    'case when a = 1 then 2 when a = 3 then 4 when a = 5 then 6 when a=7 then 8 when a=9 then 0 else 3 end',
    'case when a = 1 then 2 when a = 3 then 4 when a=9 then 0 else 3 end',
  ],
  [
    'select a from t where id = 1 union select a from t where id = 2 union select a from t where id = 3 union select a from t where id = 4 union select a from u where id = 5',
    'select a from t where id = 1 union select a from t where id = 2 union select a from t where id = 4 union select a from u where id = 5',
  ],
  [
    "(date'2020-01-01',date'2020-01-02',date'2020-01-03',date'2020-01-04',date $$x$$,date'2020-01-05')",
    "(date'2020-01-01',date'2020-01-02',date $$x$$,date'2020-01-05')",
  ],
  // Columns are known by their position; selects may repeat.
  ['select 1, 1, 1, 1, 1, id, k from a', 'select 1, 1, 1, 1, 1, id, k from a'],
  [
    '(select 1, 2 from a) union (select 3, 4 from a) union (select 5, 6 from a) union (select 7, 8 from a) union (select 9, 0 from a)',
    '(select 1, 2 from a) union (select 3, 4 from a) union (select 7, 8 from a) union (select 9, 0 from a)',
  ],
  ['select d1 from a x(c,c,c,c,c,d1)', 'select d1 from a x(c,c,c,c,c,d1)'],
  // Names, and operators of the application, that look like literals.
  ['f(w.null, w.null, w.null, w.null, w.true, w.null)', 'f(w.null, w.null, w.null, w.null, w.true, w.null)'],
  ["in ('a', 'b', 'c', -'e', 'f')", "in ('a', 'b', 'c', -'e', 'f')"],
  ['in (1::mood, 2::mood, 3::mood, -4::mood, 5::mood)', 'in (1::mood, 2::mood, 3::mood, -4::mood, 5::mood)'],
  // A name more, another depth, another operator: no repetition.
  ['a = 1 or a = 2 or b = 3 or a = 4 or a = 5', 'a = 1 or a = 2 or b = 3 or a = 4 or a = 5'],
  ['f(f(f(f(f(f(1))))))', 'f(f(f(f(f(f(1))))))'],
  ['(1, 2, 3, g(4), 5)', '(1, 2, 3, g(4), 5)'],
  ['x = 1 and x = 2 and x <> 3 and x = 4 and x = 5', 'x = 1 and x = 2 and x <> 3 and x = 4 and x = 5'],
  ['!!!!!!!! - - 1', '!!!!!!!! - - 1'],
  // A quote, a name, or a comment may hold what looks like a list.
  ['select \'(1, 2, 3, 4, 5)\', "(1, 2, 3, 4, 5)" from a', 'select \'(1, 2, 3, 4, 5)\', "(1, 2, 3, 4, 5)" from a'],
  ["select ''', (', f(1, 2, 3, 4, 5), ') , '''", "select ''', (', f(1, 2, 4, 5), ') , '''"],
  ['-- (\n(1, 2, /* ) /* , */ */ 3, 4, 5) -- (', '(1, 2, 4, 5)'],
  ["(e'\\'', 2, 3, 4)", "(e'\\'', 2, 3, 4)"],
  ["(typee'\\', 2, 3, 4)", "(typee'\\', 2, 3, 4)"],
  ["($a$ ' $b$ , $a$, 2, 3, 4, 5)", "($a$ ' $b$ , $a$, 2, 4, 5)"],
  ['(1, 2, \u00a03, 4, 5)', '(1, 2, \u00a03, 4, 5)'],
  // What a long text says is gone, unless it may mean the current time.
  [`f('${'x'.repeat(65)}', n'${'y'.repeat(65)}', $a$${'z'.repeat(65)}$a$)`, "f('a', 'a', 'a')"],
  [`f('${'x '.repeat(40)}today', x'${'0'.repeat(70)}')`, `f('${'x '.repeat(40)}today', x'${'0'.repeat(70)}')`],
  // Unsure.
  ["('a', 'b', 'c", undefined],
  ['(1, 2, 3, 4, 5 /* ', undefined],
  ['(1, 2, 3, 4, 5))', undefined],
  ["('a', 'b', e'c'\n'\\'', 'd')", undefined],
  ["('2024-01-01', '2024-01-02', 'today', '2024-01-03', '2024-01-04')", undefined],
  ["(1, 2, e'\\x74oday', 4, 5)", undefined],
  ["current_setting('app.a') || current_setting('app.b')", undefined],
  ['(1, 2, 3, 4, 5, U&"\\0061")', undefined],
  ["in (U&'!0061' UESCAPE '!', U&'!0074oday' UESCAPE '!')", undefined],
  ["in ('a', 'to'\n'day')", undefined],
  ['$a$ $b$ $c$', undefined],
];

describe('shortened', () => {
  for (const [text, shortened] of SHORTENED)
    it(text, () => {
      // Where something was left out stands a space.
      const squeeze = (text: string | undefined) => text?.replaceAll(/\s/g, '');
      assert.equal(squeeze(shortenRepeats(text)?.text), squeeze(shortened));
    });
});

/** Statements that say much over and over, at any depth, over tables and columns of the example. */
const literal = fc.oneof(
  fc.integer({ min: -9, max: 99 }).map(String),
  fc.constantFrom("'x'", "'it''s'", 'null', '$1', '$2', '1.5e3', '$$($$'),
);
const integer = fc.integer({ min: -9, max: 99 }).map(String);
const joined = (separator: string, item: fc.Arbitrary<string>, max = 9): fc.Arbitrary<string> =>
  fc.array(item, { minLength: 1, maxLength: max }).map((items) => items.join(separator));
const { condition, select } = fc.letrec<{ condition: string; select: string }>((tie) => {
  const column = fc.constantFrom('x.id', 'x.k');
  const atom = fc.oneof(
    { maxDepth: 1, depthIdentifier: 'sql' },
    fc.tuple(column, integer).map(([column, value]) => `${column} = ${value}`),
    fc.tuple(column, joined(', ', integer, 20)).map(([column, list]) => `${column} in (${list})`),
    fc
      .tuple(
        column,
        joined(
          ',',
          fc.tuple(integer, integer).map(([a, b]) => `(${a}, ${b})`),
        ),
      )
      .map(([column, rows]) => `(${column}, x.k) in (${rows})`),
    fc
      .tuple(
        column,
        joined(
          ' ',
          fc.tuple(integer, literal).map(([a, b]) => `when ${a} then ${b}`),
        ),
      )
      .map(([column, cases]) => `(case ${column} ${cases} end) is not null`),
    fc.tuple(column, tie('select')).map(([column, select]) => `${column} in (${select})`),
  );
  const or = joined(' or ', atom, 6).map((text) => `(${text})`);
  return {
    condition: joined(' and ', fc.oneof({ weight: 3, arbitrary: atom }, { weight: 1, arbitrary: or }), 5),
    select: joined(
      ' union all ',
      fc
        .tuple(
          fc.constantFrom('a', 'b', 'v', 'per_team'),
          fc.constantFrom('id', 'max(id) as id', 'lower(x.id::text)::int4'),
          tie('condition'),
          fc.constantFrom('', ' order by 1, 2', ' limit 3'),
        )
        .map(
          ([table, what, where, end]) =>
            `(select ${what}, 2 from ${table === 'v' ? '(select id, total as k from v)' : table === 'per_team' ? '(select id, team as k from per_team)' : table} x where ${where}${end})`,
        ),
      6,
    ).map((text) => `select id from (${text}) s(id, two)`),
  };
});

test(`what is left names all that the whole text names (VAZAO_SEED=${SEED})`, () => {
  const analyzer = createAnalyzer(EXAMPLE_CATALOG);
  let shorter = 0;
  const named = (text: string): readonly string[] => {
    const { refusal, terms, usesTime, settings } = analyzer.template(text);
    assert.equal(refusal, undefined, `${refusal?.detail} ${text}`);
    return [
      ...new Set(
        terms.map(({ table, columns }) => `${table.name}: ${columns === 'all' ? 'all' : [...columns].sort()}`),
      ),
      `${usesTime} ${settings}`,
    ].sort();
  };
  fc.assert(
    fc.property(select, condition, (select, condition) => {
      const text = `${select} where exists (select from a x where ${condition})`;
      const shortened = shortenRepeats(text);
      assert.ok(shortened);
      assert.ok(parseTree(shortened.text), shortened.text);
      if (shortened.text.length < text.length) shorter++;
      assert.deepEqual(named(shortened.text), named(text));
    }),
    { seed: SEED, numRuns: 100 },
  );
  assert.ok(shorter > 10, `${shorter} of 100 became shorter`);
});

test('tokens are put together again to the same text', () => {
  const text = "select a.b::text, 'it''s', e'\\'', $1, $$x$$, .5, a[1:2] /* c /* d */ */ from \"A\"\"b\" -- end";
  const tokens = scanTokens(text);
  const ends = [...(tokens?.starts.slice(1) ?? []), text.length];
  const found = tokens?.starts.map((start, at) => text.slice(start, ends[at]).trim());
  assert.equal(
    found?.join(' ¦ '),
    "select ¦ a ¦ . ¦ b ¦ :: ¦ text ¦ , ¦ 'it''s' ¦ , ¦ e'\\'' ¦ , ¦ $1 ¦ , ¦ $$x$$ ¦ , ¦ .5 ¦ , ¦ a ¦ [ ¦ 1 ¦ : ¦ 2 ¦ ] /* c /* d */ */ ¦ from ¦ \"A\"\"b\" -- end",
  );
});

test('the length is one of bytes', () => {
  const sql = `select 1 from a where t in (${Array(3_300).fill("'éééééééé'")})`;
  assert.ok(sql.length < 64 * 1024);
  assert.equal(createAnalyzer(EXAMPLE_CATALOG).template(sql).refusal, undefined);
});

test('a statement that its repetitions make long depends on the whole of its tables', () => {
  const analyzer = createAnalyzer(EXAMPLE_CATALOG);
  const ids = Array.from({ length: 20_000 }, (_, n) => n * 7);
  const sql = `select b.k from a join b on b.aid = a.id where a.id in (${ids}) and b.k = $1`;
  const template = analyzer.template(sql);
  assert.equal(template.refusal, undefined);
  assert.deepEqual(template.bind(['1']).terms.map(describeTerm), ['a (*)', 'b (*)']);
  assert.equal(analyzer.template(sql), template);
  const ordered = analyzer.template(`${sql} order by 1 limit 3`);
  assert.equal(ordered.topN, undefined);
  assert.deepEqual(ordered.bind(['1']).terms.map(describeTerm), ['a (*)', 'b (*)']);
  const refused = analyzer.template(`select random() from a where id in (${ids})`);
  assert.equal(refused.refusal?.code, 'volatile-function');
});

test('so does one that is long by rows, branches, alternatives or selects, or by its operators alone', () => {
  const analyzer = createAnalyzer(EXAMPLE_CATALOG);
  const texts = [
    `select v.column2 from a join (values ${list(8_000, ',', (n) => `(${n}, 'name ${n}')`)}) v on v.column1 = a.id`,
    `select case ${list(5_000, ' ', (n) => `when id = ${n} then 'n ${n}'`)} end from a`,
    `select id from a where ${list(5_000, ' or ', (n) => `(id = ${n} and k > $${n + 1})`)}`,
    list(3_000, ' union all ', (n) => `select id from a where k = ${n}`),
    `select id from a where ${list(3_000, ' or ', (n) => `id=${n}`)}`,
  ];
  for (const text of texts) {
    const template = analyzer.template(text);
    assert.equal(template.refusal, undefined, text.slice(0, 100));
    const terms = template.bind([]).terms;
    assert.ok(
      terms.every(({ grain, table }) => grain === 'table' && table.name === 'a'),
      terms.map(describeTerm).join(),
    );
    assert.ok(terms.length > 0);
  }
});

test('a parameter of such a statement that may be a time is looked at, wherever it stands', () => {
  const text = `select id from a where ${list(3_000, ' or ', (n) => `(id = $1 and d > $2 and k = ${n})`)}`;
  const template = createAnalyzer(EXAMPLE_CATALOG).template(text);
  assert.equal(template.bind(['1', '2024-01-01']).usesTime, false);
  assert.equal(template.bind(['1', 'today']).usesTime, true);
});

test('nothing is lost that would be seen in the whole text', () => {
  const analyzer = createAnalyzer(EXAMPLE_CATALOG);
  const nulls = list(9, ', ', () => 'null');
  const texts = [
    `select c10::date from (select ${list(10, ', ', (n) => `'x' as c${n + 1}`)} union all select ${nulls}, t from a) s`,
    `with s(${list(10, ',', (n) => `c${n + 1}`)}) as (select ${nulls}, t from a) select c10::date from s natural join b`,
    `select 1 from a where t in ('a', 'b', 'c', 'd', 'e', random()::text, 'f')`,
    `select id from a where k in (1, 2, 3, 4, 5, 6) for update`,
    list(9, ' union all ', (n) => `select id from ${n === 4 ? 'b' : 'a'} where k = ${n}`),
    `select concat('', '', 'to', 'day', '', '', '')::date`,
    `select ('' || '' || '' || 'to' || '' || '' || 'day' || '' || '' || '')::date from a`,
    `select (a).xmin from a`,
  ];
  const paddings: readonly ((text: string) => string)[] = [
    (text) => `/*${'x'.repeat(66_000)}*/ ${text}`,
    (text) => `${text} ${' '.repeat(66_000)} --${'x'.repeat(66_000)}`,
    (text) => `${text} -- today\n${' '.repeat(66_000)}`,
    // It does not repeat itself, so the tables that it names must do.
    (text) =>
      `with ${list(2_000, ', ', (n) => `w${n} as (select ${n} as x${n}, lower('y') as y${n})`)}${afterWith(text)}`,
  ];
  for (const text of texts) {
    for (const [at, pad] of paddings.entries()) {
      const [whole, long] = [text, pad(text)].map((one) => analyzer.template(one)) as [Template, Template];
      const tables = ({ terms }: Template) => [...new Set(terms.map(({ table }) => table.name))].sort();
      const label = `${text} (${at})`;
      assert.deepEqual([long.refusal?.code, long.pure], [whole.refusal?.code, whole.pure], label);
      assert.deepEqual([long.usesTime, tables(long)], [whole.usesTime, tables(whole)], label);
      assert.equal(long.parameterCount, whole.parameterCount);
      assert.ok(long.terms.every(({ columns }) => columns === 'all'));
    }
  }
});

/** To be put after other members of a WITH. */
function afterWith(text: string): string {
  return text.startsWith('with ') ? `, ${text.slice(5)}` : ` ${text}`;
}

test('a literal that is shortened joins no operator before it', () => {
  const own = { schema: 'public', name: '&', volatility: 'volatile', mayTakeOver: true } as const;
  const operator = { ...own, function: { schema: 'public', name: 'volatile_one' } };
  const analyzer = createAnalyzer({ ...EXAMPLE_CATALOG, operators: [...EXAMPLE_CATALOG.operators, operator] });
  const sql = `select u&$$${'y'.repeat(70)}$$ from a`;
  for (const text of [sql, `/*${'x'.repeat(66_000)}*/ ${sql}`])
    assert.equal(analyzer.template(text).refusal?.code, 'operator');
});

test('one that does not repeat itself depends on all tables that it names', () => {
  const analyzer = createAnalyzer(EXAMPLE_CATALOG);
  const texts: readonly (readonly [text: string, tables: readonly string[]])[] = [
    [`select ${list(9_000, ', ', (n) => `id + ${n % 3} as c${n}`)} from a`, ['a']],
    [`select 1 from ${list(5_000, ', ', (n) => `a t${n}`)}, b`, ['a', 'b']],
    [
      `select ${list(3_000, ', ', (n) => `(select max(y${n}.k) from b y${n}, v where y${n}.k = a.k) as s${n}`)} from a`,
      ['a', 'b'],
    ],
    [
      `select 1 from a where ${list(3_500, ' and ', (n) => `(id = ${n} or a.k = ${n}) is not true and b_${n} is null`)}`,
      ['a'],
    ],
  ];
  for (const [text, tables] of texts) {
    const template = analyzer.template(text);
    assert.equal(template.refusal, undefined, `${template.refusal?.detail}: ${text.slice(0, 100)}`);
    const found = template.terms.map(({ table, columns, grain }) => [table.name, columns, grain]);
    assert.deepEqual(
      found.toSorted(),
      tables.map((table) => [table, 'all', 'table']),
      text.slice(0, 100),
    );
  }
});

/** What it says after its stack has ended is worth nothing, so it must not come to that. */
test('what is too deep for the parser never reaches it, however it is written; a long list of short chains does', () => {
  const analyzer = createAnalyzer(EXAMPLE_CATALOG);
  const chain = (length: number, name: string): string => list(length, ' + ', (n) => `${name}${n}`);
  const texts = [
    `select ${'(select '.repeat(2_400)}1${')'.repeat(2_400)}`,
    `select ${list(3_000, '', (n) => `f${n}(`)}1${')'.repeat(3_000)}`,
    `select ${'case when '.repeat(1_000)} true ${'then 1 end '.repeat(1_000)}`,
    `select ${chain(3_000, 'c')} from a`,
    `select (1, 2, ${chain(800, 'c')} + case when ${chain(800, 'd')} > 1 and 1 = 2 then 1 end) from a`,
    `select ${list(10, ' + ', (n) => `t.case + ${chain(1_000, `c${n}_`)} + t.end`)} from a t`,
    `select 1, 2 ${list(1_600, '', (n) => ` union select c${n}, d${n} from a`)}`,
    `select 1${'::int'.repeat(1_600)}`,
  ];
  for (let round = 0; round < 15; round++) {
    for (const text of texts) {
      const label = `${text.slice(0, 60)} (${round})`;
      assert.equal(
        analyzer.template(`${text} -- ${round}`).refusal?.detail,
        'The statement is nested too deeply.',
        label,
      );
      assert.equal(analyzer.template(`select k from b where id = ${round}`).refusal, undefined, label);
    }
  }
  const flat = `select ${list(20, ', ', (n) => chain(200, `c${n}_`))} from a`;
  assert.equal(analyzer.template(flat).refusal, undefined);
});

test('a long FROM counts in each select of a UNION', () => {
  const from = list(600, ', ', (n) => `a t${n}`);
  const analyzer = createAnalyzer(EXAMPLE_CATALOG);
  for (const sql of [`select 1 from ${from}`, `select 2 union select 1 from ${from}`])
    assert.deepEqual(analyzer.template(sql).bind([]).terms.map(describeTerm), ['a (*)'], sql.slice(0, 40));
});

test('many columns of many tables are not looked for in each of them', () => {
  let sql = `select ${list(18_000, ',', () => 'z')}`;
  for (let level = 0; level < 10; level++) sql = `select (${sql} from ${list(490, ',', () => 'a')})`;
  const terms = createAnalyzer(EXAMPLE_CATALOG).template(sql).bind([]).terms.map(describeTerm);
  assert.deepEqual(terms, ['a (*)']);
});

test('what is longer than 256 KiB without its repetitions is refused', () => {
  const text = `select ${list(30_000, ', ', (n) => `id as c${n}`)} from a`;
  assert.equal(createAnalyzer(EXAMPLE_CATALOG).template(text).refusal?.code, 'too-complex');
});

function list(length: number, separator: string, item: (n: number) => string): string {
  return Array.from({ length }, (_, n) => item(n)).join(separator);
}
