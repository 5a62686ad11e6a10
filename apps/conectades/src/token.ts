import Type from 'typebox';
import type { ApplicationContext } from 'vazao';
import { createRefreshTokens, RefreshTokenError } from 'vazao/security';
import { Problema, respostasDeErro } from './errors.ts';
import type { App } from './http.ts';
import { createAcessos, type Papel, type Usuario } from './identidade.ts';
import { CORPO_BYTES_MAX } from './schemas.ts';
import { senhas } from './senhas.ts';

const Par = Type.Object({ access: Type.String(), refresh: Type.String() });

const Credenciais = Type.Object(
  {
    username: Type.String({ minLength: 1, maxLength: 50, examples: ['admin'] }),
    password: Type.String({ minLength: 1, maxLength: 128 }),
  },
  { additionalProperties: false },
);

interface UsuarioRow {
  readonly id: number;
  readonly papel: Papel;
  readonly pessoa_id: number;
  readonly organizadora_id: number | null;
  readonly senha_hash: string;
}

const COLUMNS = 'id, papel, pessoa_id, organizadora_id, senha_hash';

export function token(app: App, context: ApplicationContext): void {
  const { db } = context;
  const acessos = createAcessos(context);
  const renovacoes = createRefreshTokens({
    db,
    onProblem: (error) => app.log.warn(error, 'expired refresh tokens stay for now'),
  });
  app.addHook('onClose', async () => renovacoes.close());

  app.post(
    '/api/token/',
    {
      config: { class: 'login' },
      bodyLimit: CORPO_BYTES_MAX,
      schema: {
        tags: ['token'],
        summary: 'Troca usuário e senha por um token de acesso (15 min) e um de renovação (7 dias)',
        body: Credenciais,
        response: { 200: Par, ...respostasDeErro },
      },
    },
    async (request, reply) => {
      const { username, password } = request.body;
      const { rows } = await db.query<UsuarioRow>(`select ${COLUMNS} from usuarios where username = $1 and ativo`, [
        username.toLowerCase(),
      ]);
      const [row] = rows;
      // One answer, at one price, for an unknown user and for a wrong password.
      const { matches, needsRehash } = await senhas.verify(password, row?.senha_hash);
      // Without the name that was sent: people type their password there.
      request.log.info({ usuario: row?.id, identificado: matches }, matches ? 'log-in' : 'log-in refused');
      if (!matches || !row) throw new Problema('credenciais_invalidas');
      if (needsRehash) {
        // Only if nobody has changed the password meanwhile.
        await db.query('update usuarios set senha_hash = $2 where id = $1 and senha_hash = $3', [
          row.id,
          await senhas.hash(password),
          row.senha_hash,
        ]);
      }
      reply.header('cache-control', 'no-store');
      return { access: await acessos.sign(toUsuario(row)), refresh: await renovacoes.issue(String(row.id)) };
    },
  );

  app.post(
    '/api/token/refresh/',
    {
      // A renewal hashes no password, and clients behind one address renew more often than they log in.
      bodyLimit: CORPO_BYTES_MAX,
      schema: {
        tags: ['token'],
        summary: 'Troca um token de renovação, que só vale uma vez, por um novo par',
        body: Type.Object({ refresh: Type.String({ minLength: 1, maxLength: 2048 }) }, { additionalProperties: false }),
        response: { 200: Par, ...respostasDeErro },
      },
    },
    async (request, reply) => {
      const { subject, token: refresh } = await renovacoes.rotate(request.body.refresh).catch((cause) => {
        if (!(cause instanceof RefreshTokenError)) throw cause;
        if (cause.reused) request.log.warn('a refresh token was used twice: its family was revoked');
        throw new Problema('token_invalido', undefined, { cause });
      });
      // Read again: the role may have changed, and who was deactivated gets no more tokens.
      const { rows } = await db.query<UsuarioRow>(`select ${COLUMNS} from usuarios where id = $1 and ativo`, [
        Number(subject),
      ]);
      if (!rows[0]) {
        await renovacoes.revokeAll(subject);
        throw new Problema('token_invalido');
      }
      reply.header('cache-control', 'no-store');
      return { access: await acessos.sign(toUsuario(rows[0])), refresh };
    },
  );
}

function toUsuario({ id, papel, pessoa_id, organizadora_id }: UsuarioRow): Usuario {
  return { id, papel, pessoaId: pessoa_id, organizadoraId: organizadora_id };
}
