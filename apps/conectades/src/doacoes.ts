import Type, { type Static } from 'typebox';
import type { ApplicationContext } from 'vazao';
import { POR_PAGINA, toPagina, umaLinha } from './busca.ts';
import type { Client } from './database.ts';
import { Problema, respostasDeErro } from './errors.ts';
import type { App } from './http.ts';
import { CHAVE_PATTERN, comIdempotencia, type Resposta } from './idempotencia.ts';
import { COM_TOKEN, exigir, getUsuario } from './identidade.ts';
import { CORPO_BYTES_MAX, Id, Instante, NumeroDaPagina, paginaDe, Valor, ValorPositivo } from './schemas.ts';
import { inTransaction } from './transaction.ts';

const NovaDoacao = Type.Object(
  { campanha_id: Id, valor: ValorPositivo, anonima: Type.Optional(Type.Boolean()) },
  { additionalProperties: false },
);
type NovaDoacao = Static<typeof NovaDoacao>;

const Doacao = Type.Object({
  id: Type.Integer(),
  campanha_id: Id,
  valor: Valor,
  anonima: Type.Boolean(),
  criado_em: Instante,
});

const MinhaDoacao = Type.Object({
  ...Doacao.properties,
  campanha: Type.Object({ id: Id, titulo: Type.String() }),
});

const MinhasDoacoes = Type.Object({ ...paginaDe(MinhaDoacao).properties, total_doado: Valor });

const TTL = '15m';

export function doacoes(app: App, { db }: ApplicationContext): void {
  app.post(
    '/api/doacoes/',
    {
      bodyLimit: CORPO_BYTES_MAX,
      preHandler: exigir(),
      schema: {
        tags: ['doacoes'],
        summary: 'Doa para uma campanha ativa; com `Idempotency-Key`, repetir o pedido não repete a doação',
        security: COM_TOKEN,
        headers: Type.Object({ 'idempotency-key': Type.Optional(Type.String({ pattern: CHAVE_PATTERN })) }),
        body: NovaDoacao,
        response: { 201: Doacao, ...respostasDeErro },
      },
    },
    async (request, reply) => {
      const { id, pessoaId } = getUsuario(request);
      const chave = request.headers['idempotency-key'];
      const { resposta, isRepetida } = await inTransaction(db, async (client) => {
        const doar = (): Promise<Resposta> => inserirDoacao(client, pessoaId, request.body);
        if (chave === undefined) return { resposta: await doar(), isRepetida: false };
        return comIdempotencia(client, { usuarioId: id, chave, corpo: toCorpoCanonico(request.body) }, doar);
      });
      if (isRepetida) reply.header('idempotency-replayed', 'true');
      return reply.code(resposta.status as 201).send(resposta.corpo as Static<typeof Doacao>);
    },
  );

  app.get(
    '/api/doacoes/minhas/',
    {
      config: { cache: { ttl: TTL } },
      preHandler: exigir(),
      schema: {
        tags: ['doacoes'],
        summary: 'As doações de quem pergunta, da mais nova à mais antiga',
        security: COM_TOKEN,
        querystring: Type.Object({ pagina: NumeroDaPagina }, { additionalProperties: false }),
        response: { 200: MinhasDoacoes, ...respostasDeErro },
      },
    },
    async (request) => {
      const { pessoaId } = getUsuario(request);
      const { pagina = 1 } = request.query;
      const somas = await db.query<{ total: number; total_doado: string }>(
        'select count(*)::int as total, coalesce(sum(valor), 0.00) as total_doado from doacoes where pessoa_id = $1',
        [pessoaId],
      );
      const { rows } = await db.query<DoacaoRow>(
        `select ${COLUMNS} from doacoes where pessoa_id = $1 order by id desc limit $2 offset $3`,
        [pessoaId, POR_PAGINA, (pagina - 1) * POR_PAGINA],
      );
      const campanhas = await db.query<{ id: number; titulo: string }>(
        'select id, titulo from campanhas where id = any($1)',
        [[...new Set(rows.map((row) => row.campanha_id))]],
      );
      const tituloPorId = new Map(campanhas.rows.map(({ id, titulo }) => [id, titulo]));
      const resultados = rows.map((row) => ({
        ...toDoacao(row),
        campanha: { id: row.campanha_id, titulo: tituloPorId.get(row.campanha_id) ?? '' },
      }));
      const { total, total_doado } = umaLinha(somas.rows, 'A soma');
      return { ...toPagina(total, pagina, resultados), total_doado };
    },
  );
}

interface DoacaoRow {
  readonly id: string;
  readonly campanha_id: number;
  readonly valor: string;
  readonly anonima: boolean;
  readonly criado_em: Date;
}

const COLUMNS = 'id, campanha_id, valor, anonima, criado_em';

/**
 * The share lock makes whoever closes the campaign wait for this transaction, and this one for whoever is closing it, so no
 * donation enters a closed campaign; donations do not wait for each other. It holds against every writer, also `psql`.
 * Limit: the lock has no queue, so under an unbroken stream of donations to one campaign its closing may have to wait for a gap.
 */
async function inserirDoacao(client: Client, pessoaId: number, doacao: NovaDoacao): Promise<Resposta> {
  const { campanha_id, valor, anonima = false } = doacao;
  const { rows: campanhas } = await client.query<{ status: string }>(
    'select status from campanhas where id = $1 for share',
    [campanha_id],
  );
  const naoExiste = `A campanha ${campanha_id} não existe.`;
  if (!campanhas[0] || campanhas[0].status === 'rascunho') throw new Problema('nao_encontrado', naoExiste);
  if (campanhas[0].status === 'encerrada') {
    throw new Problema('campanha_encerrada', `A campanha ${campanha_id} não recebe mais doações.`);
  }
  const { rows } = await client.query<DoacaoRow>(
    `insert into doacoes (campanha_id, pessoa_id, valor, anonima) values ($1, $2, $3, $4) returning ${COLUMNS}`,
    [campanha_id, pessoaId, valor, anonima],
  );
  return { status: 201, corpo: toDoacao(umaLinha(rows, 'A doação')) };
}

/** Two bodies that ask for the same donation are the same request, however they are written. */
function toCorpoCanonico({ campanha_id, valor, anonima = false }: NovaDoacao): string {
  const [reais = '', centavos = ''] = valor.split('.');
  return JSON.stringify([campanha_id, `${BigInt(reais)}.${centavos.padEnd(2, '0')}`, anonima]);
}

function toDoacao({ id, campanha_id, valor, anonima, criado_em }: DoacaoRow): Static<typeof Doacao> {
  return { id: Number(id), campanha_id, valor, anonima, criado_em: criado_em.toISOString() };
}
