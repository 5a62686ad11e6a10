/**
 * The application of `bench/overload.ts` and `bench/patience.ts`: reads that cost a real query and are never a hit, some that always
 * are, and writes. WAIT_MAX_MS is the longest wait for a place; without it the default.
 */
import { type Application, defineApplication } from '../../packages/vazao/src/index.ts';

const waitMaxMs = process.env.WAIT_MAX_MS === undefined ? undefined : Number(process.env.WAIT_MAX_MS);

const overload: Application = defineApplication({
  name: 'bench-overload',
  migrations: new URL('./migrations/', import.meta.url),
  limits: { admission: { waitMaxMs } },
  register(app, { db }) {
    app.get<{ Params: { id: string } }>('/resumo/:id', async ({ params }) => {
      const { rows } = await db.query(
        `select c.nome, count(*)::int as doacoes, sum(d.valor)::float as total, max(d.criada) as ultima
         from campanhas c join doacoes d on d.campanha = c.id where c.id = $1 group by c.nome`,
        [Number(params.id)],
      );
      return rows[0] ?? null;
    });
    app.get(
      '/lista',
      { config: { cache: true } },
      async () => (await db.query('select id, nome from campanhas order by id limit 20')).rows,
    );
    app.post<{ Querystring: { campanha: string } }>('/doacoes', async ({ query }) => {
      await db.query('insert into doacoes (campanha, valor) values ($1, 10)', [Number(query.campanha)]);
      return { ok: true };
    });
  },
});

export default overload;
