/**
 * People, in two views on two routes: the public one (a public name and a place) is one cached answer for everybody; the
 * complete one (e-mail, CPF) goes to the administration and to the person alone.
 */

import Type, { type Static, type TSchema } from 'typebox';
import type { ApplicationContext } from 'vazao';
import { POR_PAGINA, toPagina, umaLinha } from './busca.ts';
import { isCpfValido } from './cpf.ts';
import type { Client } from './database.ts';
import { Problema, respostasDeErro } from './errors.ts';
import type { App } from './http.ts';
import { COM_TOKEN, exigir, getUsuario, type Usuario } from './identidade.ts';
import { CORPO_BYTES_MAX, ComId, Id, Instante, NumeroDaPagina, paginaDe, Texto, Uf } from './schemas.ts';
import { problemaDaSenha, senhas } from './senhas.ts';
import { inTransaction } from './transaction.ts';

const ouNulo = <T extends TSchema>(schema: T) => Type.Union([schema, Type.Null()]);

const PessoaPublica = Type.Object({
  id: Id,
  nome_publico: Type.String(),
  cidade: ouNulo(Type.String()),
  uf: ouNulo(Type.String()),
});

const Pessoa = Type.Object({
  ...PessoaPublica.properties,
  nome: Type.String(),
  email: ouNulo(Type.String()),
  cpf: ouNulo(Type.String()),
  criado_em: Instante,
  atualizado_em: Instante,
});

const campos = {
  nome: Texto(2, 120),
  nome_publico: Type.Optional(Texto(1, 60)),
  email: Type.Optional(ouNulo(Type.String({ pattern: '^[^@\\s]+@[^@\\s]+\\.[^@\\s]+$', maxLength: 254 }))),
  cidade: Type.Optional(ouNulo(Texto(2, 100))),
  uf: Type.Optional(ouNulo(Uf)),
};
const Edicao = Type.Object(campos, { additionalProperties: false });
const Criacao = Type.Object(
  {
    ...campos,
    cpf: Type.Optional(ouNulo(Type.String({ pattern: '^\\d{11}$' }))),
    acesso: Type.Optional(
      Type.Object(
        {
          username: Type.String({ pattern: '^[a-z0-9._-]{3,50}$' }),
          password: Type.String({ minLength: 8, maxLength: 128 }),
        },
        { additionalProperties: false, description: 'Cria também um usuário com o papel de doador' },
      ),
    ),
  },
  { additionalProperties: false },
);

const TTL = '30m';

export function pessoas(app: App, { db }: ApplicationContext): void {
  app.get(
    '/api/pessoas/listar/',
    {
      config: { cache: { ttl: TTL } },
      schema: {
        tags: ['pessoas'],
        summary: 'Lista pessoas, só com o que é público',
        querystring: Type.Object({ pagina: NumeroDaPagina }, { additionalProperties: false }),
        response: { 200: paginaDe(PessoaPublica), ...respostasDeErro },
      },
    },
    async (request) => {
      const { pagina = 1 } = request.query;
      const { rows: counted } = await db.query<{ total: number }>('select count(*)::int as total from pessoas');
      const { rows } = await db.query<Static<typeof PessoaPublica>>(
        'select id, nome_publico, cidade, uf from pessoas order by id limit $1 offset $2',
        [POR_PAGINA, (pagina - 1) * POR_PAGINA],
      );
      return toPagina(umaLinha(counted, 'A contagem').total, pagina, rows);
    },
  );

  app.get(
    '/api/pessoas/:id/',
    {
      config: { cache: { ttl: TTL } },
      schema: {
        tags: ['pessoas'],
        summary: 'O que é público de uma pessoa',
        params: ComId,
        response: { 200: PessoaPublica, ...respostasDeErro },
      },
    },
    async (request) => {
      const { id } = request.params;
      const { rows } = await db.query<Static<typeof PessoaPublica>>(
        'select id, nome_publico, cidade, uf from pessoas where id = $1',
        [id],
      );
      return umaLinha(rows, `A pessoa ${id}`);
    },
  );

  app.get(
    '/api/pessoas/:id/completa/',
    {
      config: { cache: { ttl: TTL } },
      preHandler: exigir(),
      schema: {
        tags: ['pessoas'],
        summary: 'Todos os dados de uma pessoa (administração, ou ela própria)',
        security: COM_TOKEN,
        params: ComId,
        response: { 200: Pessoa, ...respostasDeErro },
      },
    },
    async (request) => {
      const { id } = request.params;
      assertPodeVer(getUsuario(request), id);
      const { rows } = await db.query<PessoaRow>(`select ${COLUMNS} from pessoas where id = $1`, [id]);
      return toPessoa(umaLinha(rows, `A pessoa ${id}`));
    },
  );

  app.post(
    '/api/pessoas/',
    {
      bodyLimit: CORPO_BYTES_MAX,
      preHandler: exigir('admin'),
      schema: {
        tags: ['pessoas'],
        summary: 'Cadastra uma pessoa e, se pedido, o seu usuário (administração)',
        security: COM_TOKEN,
        body: Criacao,
        response: { 201: Pessoa, ...respostasDeErro },
      },
    },
    async (request, reply) => {
      const { acesso, cpf = null } = request.body;
      if (cpf !== null && !isCpfValido(cpf)) {
        const errors = [{ campo: '/cpf', mensagem: 'tem dígitos verificadores errados' }];
        throw new Problema('requisicao_invalida', undefined, { errors });
      }
      if (acesso) await assertSenha(acesso, request.body.nome);
      const senhaHash = acesso && (await senhas.hash(acesso.password)); // slow: not while a transaction is open
      const row = await inTransaction(db, async (client) => {
        const { rows } = await client.query<PessoaRow>(
          `insert into pessoas (nome, nome_publico, email, cidade, uf, cpf) values ($1, $2, $3, $4, $5, $6)
           returning ${COLUMNS}`,
          [...toValues(request.body), cpf],
        );
        const pessoa = umaLinha(rows, 'A pessoa');
        if (acesso && senhaHash) await inserirDoador(client, acesso.username, senhaHash, pessoa.id);
        return pessoa;
      });
      reply.code(201).header('location', `/api/pessoas/${row.id}/`);
      return toPessoa(row);
    },
  );

  app.put(
    '/api/pessoas/:id/',
    {
      bodyLimit: CORPO_BYTES_MAX,
      preHandler: exigir(),
      schema: {
        tags: ['pessoas'],
        summary: 'Altera os dados de uma pessoa (administração, ou ela própria); o CPF não muda',
        security: COM_TOKEN,
        params: ComId,
        body: Edicao,
        response: { 200: Pessoa, ...respostasDeErro },
      },
    },
    async (request) => {
      const { id } = request.params;
      assertPodeVer(getUsuario(request), id);
      const { rows } = await db.query<PessoaRow>(
        `update pessoas set nome = $1, nome_publico = $2, email = $3, cidade = $4, uf = $5, atualizado_em = now()
         where id = $6 returning ${COLUMNS}`,
        [...toValues(request.body), id],
      );
      return toPessoa(umaLinha(rows, `A pessoa ${id}`));
    },
  );
}

/** "Maria S.": enough for a thank-you, not enough to find the person. */
export function abreviarNome(nome: string): string {
  const words = nome.trim().split(/\s+/);
  const [first = nome] = words;
  const last = words.length > 1 ? [...(words.at(-1) ?? '')][0] : undefined;
  return [...(last ? `${first} ${last.toUpperCase()}.` : first)].slice(0, 60).join('');
}

function assertPodeVer({ papel, pessoaId }: Usuario, id: number): void {
  if (papel !== 'admin' && pessoaId !== id) throw new Problema('sem_permissao');
}

async function assertSenha(
  { username, password }: NonNullable<Static<typeof Criacao>['acesso']>,
  nome: string,
): Promise<void> {
  const mensagem = await problemaDaSenha(password, [username, ...nome.split(/\s+/)]);
  if (mensagem === undefined) return;
  throw new Problema('requisicao_invalida', undefined, { errors: [{ campo: '/acesso/password', mensagem }] });
}

async function inserirDoador(client: Client, username: string, senhaHash: string, id: number): Promise<void> {
  await client.query(`insert into usuarios (username, senha_hash, papel, pessoa_id) values ($1, $2, 'doador', $3)`, [
    username,
    senhaHash,
    id,
  ]);
}

interface PessoaRow extends Static<typeof PessoaPublica> {
  readonly nome: string;
  readonly email: string | null;
  readonly cpf: string | null;
  readonly criado_em: Date;
  readonly atualizado_em: Date;
}

const COLUMNS = 'id, nome_publico, cidade, uf, nome, email, cpf, criado_em, atualizado_em';

function toValues(pessoa: Static<typeof Edicao>): unknown[] {
  const { nome, nome_publico = abreviarNome(nome), email = null, cidade = null, uf = null } = pessoa;
  return [nome, nome_publico, email === null ? null : email.toLowerCase(), cidade, uf];
}

function toPessoa(row: PessoaRow): Static<typeof Pessoa> {
  return { ...row, criado_em: row.criado_em.toISOString(), atualizado_em: row.atualizado_em.toISOString() };
}
