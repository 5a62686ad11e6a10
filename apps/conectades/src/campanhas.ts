/**
 * Campaigns. Reads are several small statements rather than one join: each then depends on few rows (a campaign, the
 * organisations of a page, the donations to a page), and a change elsewhere leaves the cached answer alone.
 */

import Type, { type Static } from 'typebox';
import type { ApplicationContext } from 'vazao';
import { BUSCA_LENGTH_MAX, POR_PAGINA, toPadraoLike, toPagina, umaLinha } from './busca.ts';
import type { Database } from './database.ts';
import { Problema, respostasDeErro } from './errors.ts';
import type { App } from './http.ts';
import { COM_TOKEN, exigir, findUsuario, getUsuario, podeEditarOrganizadora, type Usuario } from './identidade.ts';
import {
  CORPO_BYTES_MAX,
  ComId,
  Id,
  Instante,
  InstanteOuNulo,
  NumeroDaPagina,
  paginaDe,
  Texto,
  Valor,
  ValorPositivo,
} from './schemas.ts';

const Status = Type.Enum(['rascunho', 'ativa', 'encerrada']);

const CampanhaResumo = Type.Object({
  id: Id,
  titulo: Type.String(),
  status: Status,
  meta: Valor,
  arrecadado: Valor,
  total_doacoes: Type.Integer(),
  organizadora: Type.Object({ id: Id, nome: Type.String() }),
  criado_em: Instante,
});

const Campanha = Type.Object({
  ...CampanhaResumo.properties,
  descricao: Type.String(),
  atualizado_em: Instante,
  encerrada_em: InstanteOuNulo,
  ultimas_doacoes: Type.Array(
    Type.Object({
      id: Type.Integer(),
      valor: Valor,
      criado_em: Instante,
      /** Null for an anonymous donation. */
      doador: Type.Union([Type.String(), Type.Null()]),
    }),
  ),
});

const Filtros = Type.Object(
  {
    pagina: NumeroDaPagina,
    busca: Type.Optional(Type.String({ maxLength: BUSCA_LENGTH_MAX })),
    status: Type.Optional(Status),
  },
  { additionalProperties: false },
);
type Filtros = Static<typeof Filtros>;

const campos = {
  titulo: Texto(3, 120),
  descricao: Texto(0, 5000),
  meta: ValorPositivo,
  status: Status,
};
const Edicao = Type.Object(campos, { additionalProperties: false });
const Criacao = Type.Object({ organizadora_id: Id, ...campos }, { additionalProperties: false });

const TTL = '1h';

export function campanhas(app: App, { db }: ApplicationContext): void {
  app.get(
    '/api/campanhas/listar/',
    {
      config: { cache: { ttl: TTL } },
      schema: {
        tags: ['campanhas'],
        summary: 'Lista campanhas, da mais nova à mais antiga; rascunhos só para quem os pode editar',
        querystring: Filtros,
        response: { 200: paginaDe(CampanhaResumo), ...respostasDeErro },
      },
    },
    async (request) => {
      const { pagina = 1, status } = request.query;
      // Only here does the list look at the user: every other list is one answer for all.
      const usuario = status === 'rascunho' ? getUsuario(request) : undefined;
      const { from, values } = toClauses(request.query, usuario);
      const { rows: counted } = await db.query<{ total: number }>(`select count(*)::int as total ${from}`, values);
      const { rows } = await db.query<CampanhaRow>(
        `select ${COLUMNS} ${from} order by c.id desc limit $${values.length + 1} offset $${values.length + 2}`,
        [...values, POR_PAGINA, (pagina - 1) * POR_PAGINA],
      );
      return toPagina(umaLinha(counted, 'A contagem').total, pagina, await toResumos(db, rows));
    },
  );

  app.get(
    '/api/campanhas/:id/',
    {
      config: { cache: { ttl: TTL } },
      schema: {
        tags: ['campanhas'],
        summary: 'Uma campanha com as suas dez últimas doações',
        params: ComId,
        response: { 200: Campanha, ...respostasDeErro },
      },
    },
    async (request) => {
      const row = await getCampanha(db, request.params.id);
      // A draft does not exist for those who may not edit it; only for drafts does the answer depend on the user.
      if (row.status === 'rascunho' && !podeEditarOrganizadora(findUsuario(request), row.organizadora_id)) {
        throw new Problema('nao_encontrado', `A campanha ${row.id} não existe.`);
      }
      return toCampanha(db, row);
    },
  );

  app.post(
    '/api/campanhas/',
    {
      bodyLimit: CORPO_BYTES_MAX,
      preHandler: exigir('admin', 'organizadora'),
      schema: {
        tags: ['campanhas'],
        summary: 'Cria uma campanha (administração, ou a própria organizadora)',
        security: COM_TOKEN,
        body: Criacao,
        response: { 201: Campanha, ...respostasDeErro },
      },
    },
    async (request, reply) => {
      const { organizadora_id, titulo, descricao, meta, status } = request.body;
      if (!podeEditarOrganizadora(getUsuario(request), organizadora_id)) throw new Problema('sem_permissao');
      const { rows } = await db.query<CampanhaCompletaRow>(
        `insert into campanhas as c (organizadora_id, titulo, descricao, meta, status, encerrada_em)
         values ($1, $2, $3, $4, $5, case when $5 = 'encerrada' then now() end)
         returning ${COLUMNS_OF_ONE}`,
        [organizadora_id, titulo, descricao, meta, status],
      );
      const row = umaLinha(rows, 'A campanha');
      reply.code(201).header('location', `/api/campanhas/${row.id}/`);
      return toCampanha(db, row);
    },
  );

  app.put(
    '/api/campanhas/:id/',
    {
      bodyLimit: CORPO_BYTES_MAX,
      preHandler: exigir('admin', 'organizadora'),
      schema: {
        tags: ['campanhas'],
        summary: 'Altera uma campanha (administração, ou a própria organizadora)',
        security: COM_TOKEN,
        params: ComId,
        body: Edicao,
        response: { 200: Campanha, ...respostasDeErro },
      },
    },
    async (request) => {
      const { id } = request.params;
      const { titulo, descricao, meta, status } = request.body;
      const before = await getCampanha(db, id); // the organisation of a campaign never changes, so this check can't race
      if (!podeEditarOrganizadora(getUsuario(request), before.organizadora_id)) throw new Problema('sem_permissao');
      // Once published, a campaign may hold donations, and never goes back to being a draft.
      const { rows } = await db.query<CampanhaCompletaRow>(
        `update campanhas as c
         set titulo = $2, descricao = $3, meta = $4, status = $5, atualizado_em = now(),
             encerrada_em = case when $5 = 'encerrada' then coalesce(encerrada_em, now()) end
         where id = $1 and ($5 <> 'rascunho' or status = 'rascunho')
         returning ${COLUMNS_OF_ONE}`,
        [id, titulo, descricao, meta, status],
      );
      if (!rows[0]) throw new Problema('transicao_invalida', 'Uma campanha publicada não volta a ser rascunho.');
      return toCampanha(db, rows[0]);
    },
  );
}

interface CampanhaRow {
  readonly id: number;
  readonly organizadora_id: number;
  readonly titulo: string;
  readonly status: 'rascunho' | 'ativa' | 'encerrada';
  readonly meta: string;
  readonly criado_em: Date;
}

interface CampanhaCompletaRow extends CampanhaRow {
  readonly descricao: string;
  readonly atualizado_em: Date;
  readonly encerrada_em: Date | null;
}

const COLUMNS = 'c.id, c.organizadora_id, c.titulo, c.status, c.meta, c.criado_em';
const COLUMNS_OF_ONE = `${COLUMNS}, c.descricao, c.atualizado_em, c.encerrada_em`;

/** The text holds only the filters that are present, so that each variant has its own plan and its own read set. */
function toClauses({ busca, status }: Filtros, usuario: Usuario | undefined): { from: string; values: unknown[] } {
  const values: unknown[] = [];
  const conditions: string[] = [];
  const bind = (value: unknown): string => `$${values.push(value)}`;
  let from = 'from campanhas c';
  conditions.push(status ? `c.status = ${bind(status)}` : `c.status in ('ativa', 'encerrada')`);
  if (usuario && usuario.papel !== 'admin') {
    if (usuario.organizadoraId === null) throw new Problema('sem_permissao');
    conditions.push(`c.organizadora_id = ${bind(usuario.organizadoraId)}`);
  }
  if (busca?.trim()) {
    const pattern = bind(toPadraoLike(busca));
    from += ' join organizadoras o on o.id = c.organizadora_id';
    // A thousand titles are read in a millisecond; an index on trigrams would cost every writer more than it saves.
    conditions.push(`(c.titulo_busca like ${pattern} or o.nome_busca like ${pattern})`);
  }
  return { from: `${from} where ${conditions.join(' and ')}`, values };
}

async function getCampanha(db: Database, id: number): Promise<CampanhaCompletaRow> {
  const { rows } = await db.query<CampanhaCompletaRow>(`select ${COLUMNS_OF_ONE} from campanhas c where c.id = $1`, [
    id,
  ]);
  return umaLinha(rows, `A campanha ${id}`);
}

/** Adds names and sums for a whole page with two statements, each served by an index. */
async function toResumos(db: Database, rows: readonly CampanhaRow[]): Promise<Static<typeof CampanhaResumo>[]> {
  if (rows.length === 0) return [];
  const organizadoras = await db.query<{ id: number; nome: string }>(
    'select id, nome from organizadoras where id = any($1)',
    [[...new Set(rows.map((row) => row.organizadora_id))]],
  );
  const somas = await db.query<{ campanha_id: number; arrecadado: string; total_doacoes: number }>(
    `select campanha_id, sum(valor) as arrecadado, count(*)::int as total_doacoes
     from doacoes where campanha_id = any($1) group by campanha_id`,
    [rows.map((row) => row.id)],
  );
  const nomePorId = new Map(organizadoras.rows.map(({ id, nome }) => [id, nome]));
  const somaPorId = new Map(somas.rows.map((soma) => [soma.campanha_id, soma]));
  return rows.map(({ organizadora_id, criado_em, id, titulo, status, meta }) => ({
    id,
    titulo,
    status,
    meta,
    arrecadado: somaPorId.get(id)?.arrecadado ?? '0.00',
    total_doacoes: somaPorId.get(id)?.total_doacoes ?? 0,
    organizadora: { id: organizadora_id, nome: nomePorId.get(organizadora_id) ?? '' },
    criado_em: criado_em.toISOString(),
  }));
}

async function toCampanha(db: Database, row: CampanhaCompletaRow): Promise<Static<typeof Campanha>> {
  const [resumo] = await toResumos(db, [row]);
  const doacoes = await db.query<{ id: string; pessoa_id: number; valor: string; anonima: boolean; criado_em: Date }>(
    `select id, pessoa_id, valor, anonima, criado_em
     from doacoes where campanha_id = $1 order by id desc limit 10`,
    [row.id],
  );
  const pessoaIds = doacoes.rows.filter(({ anonima }) => !anonima).map(({ pessoa_id }) => pessoa_id);
  const pessoas = await db.query<{ id: number; nome_publico: string }>(
    'select id, nome_publico from pessoas where id = any($1)',
    [[...new Set(pessoaIds)]],
  );
  const nomePorId = new Map(pessoas.rows.map(({ id, nome_publico }) => [id, nome_publico]));
  return {
    ...(resumo as Static<typeof CampanhaResumo>),
    descricao: row.descricao,
    atualizado_em: row.atualizado_em.toISOString(),
    encerrada_em: row.encerrada_em?.toISOString() ?? null,
    ultimas_doacoes: doacoes.rows.map(({ id, pessoa_id, valor, anonima, criado_em }) => ({
      id: Number(id),
      valor,
      criado_em: criado_em.toISOString(),
      doador: anonima ? null : (nomePorId.get(pessoa_id) ?? null),
    })),
  };
}
