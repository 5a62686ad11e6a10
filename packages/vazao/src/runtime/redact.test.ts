import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import Fastify, { type FastifyInstance } from 'fastify';
import { loggerOptions } from './log.ts';
import { redactLine } from './redact.ts';

const SECRET = 'hunter2-Qm9iIGlzIHRoZXJl';
const JWT = 'eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiI3In0.c2lnbmF0dXJl';

/** What the logger of a real server writes in production. */
async function linesOf(use: (app: FastifyInstance) => Promise<void>): Promise<string> {
  const options = loggerOptions({ environment: 'production', logLevel: 'trace' } as Parameters<
    typeof loggerOptions
  >[0]);
  let written = '';
  const write = (line: string): void => {
    written += line;
  };
  const app = Fastify({
    logger: { ...(options as object), stream: { write } },
  });
  await use(app);
  await app.close();
  return written;
}

test('what an application logs, fails with or is asked for brings no secret into the log', async () => {
  const written = await linesOf(async (app) => {
    app.get('/logs', async (request) => {
      request.log.info({ headers: request.headers, body: { cpf: SECRET } }, 'the request');
      request.log.info({ usuario: { nome: 'Ana', senha: SECRET, tokens: [SECRET, JWT] } });
      request.log.child({ apiKey: SECRET }).info('child');
      request.log.info(`Authorization: Bearer ${SECRET}, then ${JWT}`);
      request.log.info(`set-cookie: __Host-session=${SECRET}; Path=/`);
      request.log.info('connect to %s', `postgresql://app:${SECRET}@db:5432/loja`);
      request.log.info({ detail: `Key (email)=(${SECRET}) already exists.` });
      request.log.info({ detail: `Failing row contains (1, ${SECRET}, "x", null).` });
      request.log.info({ hash: `$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHQ$${SECRET}` });
      throw Object.assign(new Error(`cannot reach redis://:${SECRET}@cache:6379`), {
        config: { headers: { authorization: `Basic ${SECRET}` } },
      });
    });
    const response = await app.inject({
      url: `/logs?token=${SECRET}&reset_password=${SECRET}&pagina=2`,
      headers: { authorization: `Bearer ${SECRET}`, cookie: `sid=${SECRET}`, 'x-api-key': SECRET },
    });
    assert.equal(response.statusCode, 500);
  });
  assert.ok(written.split('\n').length > 10, written);
  assert.doesNotMatch(written, new RegExp(SECRET));
  assert.doesNotMatch(written, /eyJ/);
  // And it is a log still.
  for (const line of written.trim().split('\n')) assert.ok(JSON.parse(line).level, line);
  assert.match(written, /"nome":"Ana"/);
  assert.match(written, /pagina=2/);
  assert.match(written, /Key \(email\)=\(\[redacted\]\) already exists/);
  assert.match(written, /postgresql:\/\/app:\[redacted\]@db:5432\/loja/);
  assert.match(written, /"stack":"Error: cannot reach/);
});

test('formats in what a client sends, and in what is thrown, are text', async () => {
  const formats = '%s %d %i %j %o %O %c %%';
  const written = await linesOf(async (app) => {
    app.get('/*', async () => {
      throw new Error(formats);
    });
    await app.inject({ url: `/${encodeURI(formats)}?f=%25s%25d`, headers: { host: '%s.%d' } });
  });
  const lines = written
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));
  const [asked, failed] = [lines.find(({ msg }) => msg === 'incoming request'), lines.find(({ err }) => err)];
  assert.equal(asked.req.url, `/${encodeURI(formats)}?f=%25s%25d`);
  assert.equal(asked.req.host, '%s.%d');
  assert.deepEqual([failed.msg, failed.err.message], [formats, formats]);
});

test('a line without secrets stays as it is', () => {
  for (const line of [
    '{"level":30,"time":1,"msg":"incoming request","req":{"method":"GET","url":"/api/campanhas/listar/?pagina=2","host":"loja"}}\n',
    '{"level":50,"err":{"type":"Error","message":"relation \\"x\\" does not exist","stack":"Error\\n    at a (file:///a.ts:1:2)"}}\n',
    'no JSON at all\n',
    '{"level":30,"token":null,"msg":"the token was bad"}\n',
  ]) {
    assert.equal(redactLine(line), line);
  }
});

test('whatever stands around it, a secret under its name is masked, and the line stays JSON', () => {
  const names = fc.constantFrom('password', 'Authorization', 'set-cookie', 'SENHA', 'access_token', 'refresh', 'body');
  const around = fc.dictionary(fc.string({ unit: 'binary' }), fc.jsonValue(), { maxKeys: 3 });
  fc.assert(
    fc.property(names, around, fc.string({ unit: 'binary' }), (name, others, text) => {
      const secret = `${text}${SECRET}`;
      const line = `${JSON.stringify({ level: 30, others, nested: [{ [name]: secret }], msg: text })}\n`;
      const redacted = redactLine(line);
      assert.ok(!redacted.includes(SECRET));
      assert.ok(JSON.parse(redacted));
    }),
    { numRuns: 300 },
  );
});

test('long lines cost no more than their length', () => {
  // Each pattern's own beginning, again and again: a pattern that backtracks would not come to an end.
  for (const part of [
    'Key (',
    'Key (a)=(',
    'Failing row contains (',
    'a://',
    'a:',
    'Bearer ',
    'eyJaaaaa.',
    '?token',
    '$argon2id$',
    '__Host-',
  ])
    assert.ok(redactLine(part.repeat(20_000)).length > 0);
});
