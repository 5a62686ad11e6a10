/** Conectades: people donate to campaigns of organisations. */
import { type Application, defineApplication } from 'vazao';
import { criarPrimeiroAdmin, recusas } from './admin.ts';
import { campanhas } from './campanhas.ts';
import { doacoes } from './doacoes.ts';
import { registrarDocs } from './docs.ts';
import { registrarErros } from './errors.ts';
import type { App } from './http.ts';
import { createIdentify } from './identidade.ts';
import { organizadoras } from './organizadoras.ts';
import { pessoas } from './pessoas.ts';
import { token } from './token.ts';
import { registrarValidacao } from './validation.ts';

const conectades: Application = defineApplication({
  name: 'conectades',
  migrations: new URL('../migrations/', import.meta.url),
  // What makes names up is a sixth of all that a worker would load, and no worker seeds.
  seed: async (client, progress) => (await import('./seed.ts')).seed(client, progress),
  identify: createIdentify,
  refuses: (client) => recusas(client, process.env.ADMIN_PASSWORD),
  async register(instance, context) {
    if (context.environment === 'production') await criarPrimeiroAdmin(context.db, process.env.ADMIN_PASSWORD);
    const app = instance.withTypeProvider() as App;
    registrarValidacao(app);
    app.removeContentTypeParser('text/plain'); // a body is JSON or is refused (415)
    await registrarDocs(app);
    registrarErros(app);
    token(app, context);
    campanhas(app, context);
    doacoes(app, context);
    organizadoras(app, context);
    pessoas(app, context);
  },
  firstPaths: ['/api/campanhas/listar/'],
});

export default conectades;
