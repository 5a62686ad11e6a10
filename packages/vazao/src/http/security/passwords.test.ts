import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createPasswords } from './passwords.ts';

const passwords = createPasswords({ memoryKiB: 7_168, passes: 1 });

test('a hash of the reference implementation of argon2id is read', async () => {
  // From the reference implementation's own tests (phc-winner-argon2, version 0x13): 64 MiB, two passes.
  const known = '$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc';
  assert.equal((await passwords.verify('password', known)).matches, true);
  assert.equal((await passwords.verify('Password', known)).matches, false);
});

test('a password is stored as argon2id in the PHC format, with a salt of its own', async () => {
  const own = createPasswords();
  const [one, two] = await Promise.all([own.hash('segredo'), own.hash('segredo')]);
  assert.match(one, /^\$argon2id\$v=19\$m=19456,t=2,p=1\$[A-Za-z0-9+/]{22}\$[A-Za-z0-9+/]{43}$/);
  assert.notEqual(one, two);
  assert.deepEqual(await own.verify('segredo', one), { matches: true, needsRehash: false });
  assert.deepEqual(await own.verify('Segredo', one), { matches: false, needsRehash: false });
});

test('letters that are composed differently are the same password', async () => {
  const hash = await passwords.hash('ação');
  assert.ok((await passwords.verify('ação'.normalize('NFD'), hash)).matches);
});

test('what is no hash of ours never matches, not even the empty password', async () => {
  const salt = 'AAAAAAAAAAAAAAAAAAAAAA';
  const tag = 'A'.repeat(43);
  for (const hash of [
    undefined,
    '',
    '$argon2id$',
    `$argon2i$v=19$m=19456,t=2,p=1$${salt}$${tag}`,
    `$argon2id$v=16$m=19456,t=2,p=1$${salt}$${tag}`,
    `$argon2id$v=19$m=4294967295,t=2,p=1$${salt}$${tag}`,
    `$argon2id$v=19$m=9999999,t=2,p=1$${salt}$${tag}`,
    `$argon2id$v=19$m=1,t=2,p=1$${salt}$${tag}`,
    `$argon2id$v=19$m=19456,t=0,p=1$${salt}$${tag}`,
    `$argon2id$v=19$m=19456,t=2,p=0$${salt}$${tag}`,
  ]) {
    assert.deepEqual(await passwords.verify('', hash), { matches: false, needsRehash: false }, String(hash));
  }
});

test('a hash made with less is to be made again, and only for who knows the password', async () => {
  const salt = Buffer.alloc(16, 7);
  const cheap = await passwords.hash('segredo', salt);
  const dearer = createPasswords({ memoryKiB: 7_168, passes: 2 });
  assert.deepEqual(await dearer.verify('segredo', cheap), { matches: true, needsRehash: true });
  assert.deepEqual(await dearer.verify('errada', cheap), { matches: false, needsRehash: false });
  assert.deepEqual(await dearer.verify('segredo', await dearer.hash('segredo')), { matches: true, needsRehash: false });
  // Dearer than now: it stays.
  assert.deepEqual(await passwords.verify('segredo', await dearer.hash('segredo')), {
    matches: true,
    needsRehash: false,
  });
  const shortSalt = await passwords.hash('segredo', Buffer.alloc(8, 7));
  assert.equal((await passwords.verify('segredo', shortSalt)).needsRehash, true);
});

test('too many at once are refused, at once, and those who wait get their turn', async () => {
  const bounded = createPasswords({ memoryKiB: 7_168, passes: 1, runningMax: 2, waitingMax: 3 });
  const hash = await bounded.hash('segredo');
  // An unknown user takes a turn, too.
  const asked = Array.from({ length: 20 }, (_, n) => bounded.verify('segredo', n % 2 ? hash : undefined));
  const results = await Promise.allSettled(asked);
  assert.deepEqual(
    results.map(({ status }) => status),
    [...Array(5).fill('fulfilled'), ...Array(15).fill('rejected')],
  );
  const [refused] = results.filter(({ status }) => status === 'rejected') as PromiseRejectedResult[];
  assert.equal(refused?.reason.code, 'ERR_SECURITY_PASSWORDS_BUSY');
  assert.equal(refused?.reason.statusCode, 503);
  assert.ok((await bounded.verify('segredo', hash)).matches, 'and all turns are free again');
});

test('an overlong password is refused before it costs anything, and options are checked', async () => {
  await assert.rejects(passwords.hash('x'.repeat(1_025)), { code: 'ERR_SECURITY_PASSWORD_LENGTH' });
  const hash = await passwords.hash('x');
  assert.equal((await passwords.verify('x'.repeat(1_025), hash)).matches, false);
  for (const options of [
    { memoryKiB: 1_024 },
    { passes: 0 },
    { parallelism: 0 },
    { runningMax: 0 },
    { waitingMax: -1 },
  ])
    assert.throws(() => createPasswords(options), { code: 'ERR_SECURITY_OPTIONS' });
});
