/** Ours: the same handlers on the runtime, with `cache: true`. */
import { type Application, defineApplication } from '../../packages/vazao/src/index.ts';
import { type Database, readItem, writeItem } from './data.ts';

const peers: Application = defineApplication({
  name: 'peers',
  migrations: new URL('./migrations/', import.meta.url),
  async register(app, { db }) {
    app.get<{ Params: { id: string } }>('/items/:id', { config: { cache: true } }, ({ params }) =>
      readItem(db as Database, Number(params.id)),
    );
    app.put<{ Params: { id: string } }>('/items/:id', ({ params }) => writeItem(db as Database, Number(params.id)));
  },
});

export default peers;
