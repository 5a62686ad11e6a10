/**
 * What people do at Conectades, for the load lab: most look around, a few log in, look at what they have given, and donate. Which
 * campaigns are asked for is uneven, as donations are (Zipf): few are on everybody's screen.
 */
import { routes, type Scenario, type ScenarioStep, scenario, step, type Turn, zipf } from 'vazao/lab';
import type { Client } from './database.ts';
import type { Routes } from './rotas.ts';
import { type SeedSizes, seed } from './seed.ts';
import { senhas } from './senhas.ts';
import { USUARIOS_DE_DESENVOLVIMENTO } from './usuarios-de-desenvolvimento.ts';

type Query = Client['query'];

const CAMPANHAS = 1_000;
const PAGINAS = 10;
const DOADORES = 200;
/** Of users who exist in the lab's own database alone. */
const SENHA = 'doador do laboratório';

const campanha = zipf(CAMPANHAS, 1);
const pagina = zipf(PAGINAS, 1.5);

/** Paths, parameters, bodies and answers as the OpenAPI document has them (`rotas.ts`). */
const rota = routes<Routes>();
const comToken = ({ user }: Turn) => ({ authorization: `Bearer ${user.values.access}` });

const ativas: ScenarioStep = step({
  name: 'campanhas ativas',
  weight: 0,
  request: ({ random }) => rota('GET /api/campanhas/listar/', { query: { status: 'ativa', pagina: pagina(random) } }),
  extract: { campanhas: (answer) => answer.json().resultados.map(({ id }) => id) },
});

const conectades: Scenario = scenario({
  name: 'Conectades',
  thinkMs: 1_000,
  timeoutMs: 10_000,
  // Timings of the server, for whoever runs the lab with a token that shows them.
  headers: process.env.LAB_TIMING_TOKEN ? { 'vazao-timing': process.env.LAB_TIMING_TOKEN } : {},
  // Where what was promised contradicts itself, the strictest is the target (docs/lab.md, objectives).
  criteria: [
    { metric: 'throughput', min: 500 },
    { metric: 'mean', max: 50 },
    { metric: 'hitRate', min: 0.8 },
    { metric: 'successRate', min: 0.95 },
    { metric: 'timeoutRate', max: 0.01 },
    { metric: 'rssMax', max: 3 * 1024 ** 3 },
  ],
  steps: [
    { name: 'lista de campanhas', weight: 30, request: rota('GET /api/campanhas/listar/') },
    {
      name: 'mais campanhas',
      weight: 15,
      request: ({ random }) => rota('GET /api/campanhas/listar/', { query: { pagina: 1 + pagina(random) } }),
    },
    // One in twenty is a draft, which does not exist for the public.
    {
      name: 'uma campanha',
      weight: 50,
      request: ({ random }) => rota('GET /api/campanhas/{id}/', { params: { id: campanha(random) } }),
      expect: { status: [200, 404] },
    },
    { name: 'lista de organizadoras', weight: 4, request: rota('GET /api/organizadoras/listar/') },
    step({
      // A password costs 40 ms of a processor: as rare as people log in.
      name: 'entrar',
      weight: 0.4,
      request: ({ user }) =>
        rota('POST /api/token/', { json: { username: `lab${(user.index % DOADORES) + 1}`, password: SENHA } }),
      extract: { access: (answer) => answer.json().access },
      followedBy: [ativas],
    }),
    {
      name: 'minhas doações',
      weight: 30,
      needs: ['access'],
      request: (turn) => rota('GET /api/doacoes/minhas/', { headers: comToken(turn) }),
    },
    {
      name: 'doar',
      weight: 20,
      needs: ['access', 'campanhas'],
      request: (turn) =>
        rota('POST /api/doacoes/', {
          headers: comToken(turn),
          json: { campanha_id: turn.random.pick(turn.user.values.campanhas as number[]), valor: '25.00' },
        }),
      expect: { status: 201 },
    },
  ],
});

/** The development users go, whose passwords are known and with whom no server starts in production; donors of the lab come. */
export async function prepare(query: Query): Promise<void> {
  await query('update usuarios set ativo = false where username = any($1)', [
    USUARIOS_DE_DESENVOLVIMENTO.map(({ username }) => username),
  ]);
  await query(
    `insert into usuarios (username, senha_hash, papel, pessoa_id)
     select 'lab' || n, $1, 'doador', p.id
     from generate_series(1, $2::int) n
     join (select id, row_number() over (order by id desc) as n from pessoas
           where id not in (select pessoa_id from usuarios)) p using (n)
     on conflict (username) do nothing`,
    [await senhas.hash(SENHA), DOADORES],
  );
}

/**
 * ×1 is a tenth of the people and donations of development, ×100 ten times as many: so all three are made in minutes. A thousand
 * campaigns are there each time, because that is what is asked for.
 */
const TAMANHOS: SeedSizes = { organizadoras: 50, campanhas: CAMPANHAS, pessoas: 2_000, doacoes: 20_000 };

export async function resize(query: Query, factor: number): Promise<void> {
  await query('truncate organizadoras, pessoas, usuarios, campanhas, doacoes restart identity cascade');
  await seed({ query } as Client, () => {}, {
    organizadoras: TAMANHOS.organizadoras * factor,
    campanhas: TAMANHOS.campanhas * factor,
    pessoas: TAMANHOS.pessoas * factor,
    doacoes: TAMANHOS.doacoes * factor,
  });
  await prepare(query);
}

export default conectades;
