import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import { loadParser } from '../parse.ts';
import { shrinkStatement, shrinkText } from './shrink-text.fuzz.ts';

before(loadParser);

const LATER = Number.POSITIVE_INFINITY;

test('what is not needed is left out, and what is left still parses', async () => {
  const sql = `with q as (select 1) select c.x, count(*) from c left join (b join a on b.i = a.i) on c.i = b.i, q
    where c.x = 1 and (not a.y = 'it''s' or b.z in (select 2)) group by 1 order by 1 limit 3`;
  const isMissed = async (text: string): Promise<boolean> => /from.*\bc\b.*where.*a\.y = 'it''s'/.test(text);
  const shrunken = await shrinkText(sql, isMissed, LATER);
  assert.equal(shrunken, `select from c where a.y = 'it''s'`);
});

test('a text that no part can be taken from stays as it was written', async () => {
  assert.equal(await shrinkText('select  1', async () => false, LATER), 'select  1');
});

test('parameters are numbered anew', async () => {
  const statement = { sql: 'select $1, $2 from a where x = $3', parameters: ['1', '2', '3'], kinds: [] };
  const shrunken = await shrinkStatement(statement, async ({ parameters }) => parameters.includes('3'), LATER);
  assert.deepEqual(shrunken, { sql: 'select $1', parameters: ['3'], kinds: [] });
});
