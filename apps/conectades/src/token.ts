import Type from 'typebox';
import type { ApplicationContext } from 'vazao';
import { Problema, respostasDeErro } from './errors.ts';
import type { App } from './http.ts';
import { createTokens, type Papel, type Usuario } from './identidade.ts';
import { CORPO_BYTES_MAX } from './schemas.ts';
import { isSenhaCerta } from './senhas.ts';

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
  const tokens = createTokens(context);

  app.post(
    '/api/token/',
    {
      bodyLimit: CORPO_BYTES_MAX,
      schema: {
        tags: ['token'],
        summary: 'Troca usuário e senha por um token de acesso (15 min) e um de renovação (7 dias)',
        body: Credenciais,
        response: { 200: Type.Object({ access: Type.String(), refresh: Type.String() }), ...respostasDeErro },
      },
    },
    async (request, reply) => {
      const { username, password } = request.body;
      const { rows } = await db.query<UsuarioRow>(`select ${COLUMNS} from usuarios where username = $1 and ativo`, [
        username.toLowerCase(),
      ]);
      // One answer, at one price, for an unknown user and for a wrong password.
      if (!(await isSenhaCerta(password, rows[0]?.senha_hash)) || !rows[0]) throw new Problema('credenciais_invalidas');
      reply.header('cache-control', 'no-store');
      return tokens.sign(toUsuario(rows[0]));
    },
  );

  app.post(
    '/api/token/refresh/',
    {
      bodyLimit: CORPO_BYTES_MAX,
      schema: {
        tags: ['token'],
        summary: 'Troca um token de renovação por um novo token de acesso',
        body: Type.Object({ refresh: Type.String({ minLength: 1, maxLength: 2048 }) }, { additionalProperties: false }),
        response: { 200: Type.Object({ access: Type.String() }), ...respostasDeErro },
      },
    },
    async (request, reply) => {
      const id = await tokens.verifyRefresh(request.body.refresh);
      // Read again: the role may have changed, and who was deactivated gets no more tokens.
      const { rows } = await db.query<UsuarioRow>(`select ${COLUMNS} from usuarios where id = $1 and ativo`, [id]);
      if (!rows[0]) throw new Problema('token_invalido');
      reply.header('cache-control', 'no-store');
      return { access: await tokens.signAccess(toUsuario(rows[0])) };
    },
  );
}

function toUsuario({ id, papel, pessoa_id, organizadora_id }: UsuarioRow): Usuario {
  return { id, papel, pessoaId: pessoa_id, organizadoraId: organizadora_id };
}
