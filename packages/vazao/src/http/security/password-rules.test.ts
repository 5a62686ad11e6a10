import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createPasswordRules } from './password-rules.ts';

test('the passwords that everybody tries first are refused, however their letters are written', async () => {
  const rules = createPasswordRules();
  // Of the lists of most used passwords that are published each year.
  for (const password of [
    'password',
    '12345678',
    'qwertyuiop',
    'iloveyou',
    'Password',
    'SUNSHINE',
    '1q2w3e4r',
    'trustno1',
  ])
    assert.equal(await rules.check(password), 'common', password);
  for (const password of ['uma senha longa', 'correct-horse-battery-staple', 'ção ção ção', '🐟🐟🐟🐟🐟🐟🐟🐟'])
    assert.equal(await rules.check(password), undefined, password);
});

test('at least three thousand of those that are long enough are known', async () => {
  const { dictionary } = await import('@zxcvbn-ts/language-common');
  const long = dictionary['passwords-common'].filter((password: string) => password.length >= 8).slice(0, 3_000);
  assert.equal(long.length, 3_000);
  const rules = createPasswordRules();
  for (const password of long) assert.equal(await rules.check(password), 'common', password);
});

test('a password made of a word of this place or of its user is refused, one that merely has it is not', async () => {
  const rules = createPasswordRules({ words: ['Conectades', 'ong'] });
  const cases: readonly (readonly [password: string, problem: string | undefined])[] = [
    ['conectades', 'word'],
    ['Conectades2025!', 'word'],
    ['ConectadesConectades', 'word'],
    ['antonia.1990', 'word'],
    ['ANTÔNIA.1990', 'word'],
    ['gosto de conectades', undefined],
    ['longo ongongong', undefined], // `ong` is too short to be looked for
    ['antonio.1990', undefined],
  ];
  for (const [password, problem] of cases)
    assert.equal(await rules.check(password, ['Antônia', '']), problem, password);
});

test('length is counted in characters, and its bound can be set within reason', async () => {
  const rules = createPasswordRules({ lengthMin: 12 });
  assert.equal(await rules.check('onze letras'), 'short');
  assert.equal(await rules.check('doze letras!'), undefined);
  assert.equal(await createPasswordRules().check('🐟🐟🐟🐟🐟🐟🐟'), 'short');
  assert.equal(await createPasswordRules().check('açãoaçã'.normalize('NFD')), 'short');
  for (const lengthMin of [0, 65, 1.5, Number.NaN])
    assert.throws(() => createPasswordRules({ lengthMin }), { code: 'ERR_SECURITY_OPTIONS' });
});
