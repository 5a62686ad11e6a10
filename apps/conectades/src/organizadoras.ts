import Type, { type Static } from 'typebox';
import type { ApplicationContext } from 'vazao';
import { BUSCA_LENGTH_MAX, POR_PAGINA, toPadraoLike, toPagina, umaLinha } from './busca.ts';
import { Problema, respostasDeErro } from './errors.ts';
import type { App } from './http.ts';
import { COM_TOKEN, exigir, getUsuario, podeEditarOrganizadora } from './identidade.ts';
import { CORPO_BYTES_MAX, ComId, Id, Instante, NumeroDaPagina, paginaDe, Texto, Uf } from './schemas.ts';

const Organizadora = Type.Object({
  id: Id,
  nome: Type.String(),
  cnpj: Type.String(),
  descricao: Type.String(),
  cidade: Type.String(),
  uf: Type.String(),
  criado_em: Instante,
  atualizado_em: Instante,
});

const campos = {
  nome: Texto(2, 120),
  descricao: Texto(0, 5000),
  cidade: Texto(2, 100),
  uf: Uf,
};
const Edicao = Type.Object(campos, { additionalProperties: false });
const Criacao = Type.Object(
  { cnpj: Type.String({ pattern: '^\\d{14}$' }), ...campos },
  { additionalProperties: false },
);

const Filtros = Type.Object(
  { pagina: NumeroDaPagina, busca: Type.Optional(Type.String({ maxLength: BUSCA_LENGTH_MAX })) },
  { additionalProperties: false },
);

export function organizadoras(app: App, { db }: ApplicationContext): void {
  app.get(
    '/api/organizadoras/listar/',
    {
      config: { cache: { ttl: '30m' } },
      schema: {
        tags: ['organizadoras'],
        summary: 'Lista organizadoras por nome',
        querystring: Filtros,
        response: { 200: paginaDe(Organizadora), ...respostasDeErro },
      },
    },
    async (request) => {
      const { pagina = 1, busca } = request.query;
      const values: unknown[] = busca?.trim() ? [toPadraoLike(busca)] : [];
      const from = `from organizadoras${values.length > 0 ? ' where nome_busca like $1' : ''}`;
      const { rows: counted } = await db.query<{ total: number }>(`select count(*)::int as total ${from}`, values);
      const { rows } = await db.query<OrganizadoraRow>(
        `select ${COLUMNS} ${from}
         order by nome_busca, id limit $${values.length + 1} offset $${values.length + 2}`,
        [...values, POR_PAGINA, (pagina - 1) * POR_PAGINA],
      );
      return toPagina(umaLinha(counted, 'A contagem').total, pagina, rows.map(toOrganizadora));
    },
  );

  app.get(
    '/api/organizadoras/:id/',
    {
      config: { cache: { ttl: '30m' } },
      schema: { tags: ['organizadoras'], params: ComId, response: { 200: Organizadora, ...respostasDeErro } },
    },
    async (request) => {
      const { id } = request.params;
      const { rows } = await db.query<OrganizadoraRow>(`select ${COLUMNS} from organizadoras where id = $1`, [id]);
      return toOrganizadora(umaLinha(rows, `A organizadora ${id}`));
    },
  );

  app.post(
    '/api/organizadoras/',
    {
      bodyLimit: CORPO_BYTES_MAX,
      preHandler: exigir('admin'),
      schema: {
        tags: ['organizadoras'],
        summary: 'Cria uma organizadora (administração)',
        security: COM_TOKEN,
        body: Criacao,
        response: { 201: Organizadora, ...respostasDeErro },
      },
    },
    async (request, reply) => {
      const { nome, cnpj, descricao, cidade, uf } = request.body;
      const { rows } = await db.query<OrganizadoraRow>(
        `insert into organizadoras (nome, cnpj, descricao, cidade, uf) values ($1, $2, $3, $4, $5) returning ${COLUMNS}`,
        [nome, cnpj, descricao, cidade, uf],
      );
      const organizadora = toOrganizadora(umaLinha(rows, 'A organizadora'));
      reply.code(201).header('location', `/api/organizadoras/${organizadora.id}/`);
      return organizadora;
    },
  );

  app.put(
    '/api/organizadoras/:id/',
    {
      bodyLimit: CORPO_BYTES_MAX,
      preHandler: exigir('admin', 'organizadora'),
      schema: {
        tags: ['organizadoras'],
        summary: 'Altera uma organizadora (administração, ou ela própria)',
        security: COM_TOKEN,
        params: ComId,
        body: Edicao,
        response: { 200: Organizadora, ...respostasDeErro },
      },
    },
    async (request) => {
      const { id } = request.params;
      const { nome, descricao, cidade, uf } = request.body;
      if (!podeEditarOrganizadora(getUsuario(request), id)) throw new Problema('sem_permissao');
      const { rows } = await db.query<OrganizadoraRow>(
        `update organizadoras set nome = $2, descricao = $3, cidade = $4, uf = $5, atualizado_em = now()
         where id = $1 returning ${COLUMNS}`,
        [id, nome, descricao, cidade, uf],
      );
      return toOrganizadora(umaLinha(rows, `A organizadora ${id}`));
    },
  );
}

interface OrganizadoraRow {
  readonly id: number;
  readonly nome: string;
  readonly cnpj: string;
  readonly descricao: string;
  readonly cidade: string;
  readonly uf: string;
  readonly criado_em: Date;
  readonly atualizado_em: Date;
}

const COLUMNS = 'id, nome, cnpj, descricao, cidade, uf, criado_em, atualizado_em';

function toOrganizadora(row: OrganizadoraRow): Static<typeof Organizadora> {
  return { ...row, criado_em: row.criado_em.toISOString(), atualizado_em: row.atualizado_em.toISOString() };
}
