/** The application whose hits `bench/serve.ts` measures: a list, a row, and a page of each user. */
import { type Application, defineApplication } from '../../packages/vazao/src/index.ts';

const LIST_LENGTH = 100;

const application: Application = defineApplication({
  name: 'bench-serve',
  migrations: new URL('./migrations/', import.meta.url),
  // The peers send no such fields; with them all of ours would only be longer.
  security: false,
  identify: () => ({
    headers: ['authorization'],
    user: ({ authorization }) => (authorization ? { id: authorization } : undefined),
  }),
  register(app, { db }) {
    const cached = { config: { cache: true } } as const;
    app.get(
      '/lista',
      cached,
      async () => (await db.query('select * from itens order by id limit $1', [LIST_LENGTH])).rows,
    );
    app.get<{ Params: { id: string } }>('/itens/:id', cached, async (request) => {
      const { rows } = await db.query('select * from itens where id = $1', [request.params.id]);
      return rows[0];
    });
    app.get('/eu', cached, async (request) => {
      const { rows } = await db.query('select * from itens where id = 1');
      return { usuario: request.user?.id, ...rows[0] };
    });
  },
});

export default application;
