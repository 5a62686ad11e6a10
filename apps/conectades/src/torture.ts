/**
 * What `vazao torture conectades` writes, and where the answers show it. Versions live in ordinary columns: titles, names,
 * goals and amounts; nothing in the application is there for this.
 *
 *   campanhaN   title, goal and description of one campaign, changed by the application (`PUT`)
 *   rascunho    a campaign that is by turns a draft and published, so that it leaves one list for another
 *   doacoesN    how many donations a campaign has; the Nth is of N reais, given through the application (`POST`)
 *   contaN      one number in a campaign, its organisation, its only donation and the donor: four tables in one transaction
 */
import type { ClientBase } from 'pg';
import {
  defineProfile,
  type Profile,
  type Reader,
  type Reading,
  type SqlWriter,
  type Versions,
  type Writer,
} from 'vazao/torture';
import { createAcessos, type Usuario } from './identidade.ts';

const CONTAS = [1, 2, 3] as const;
const CAMPANHAS = [4, 5, 6] as const;
const DOACOES = [7, 8] as const;
const RASCUNHO = 9;
const CAMPANHA_IDS = [...CONTAS, ...CAMPANHAS, ...DOACOES, RASCUNHO];
const ADMIN: Usuario = { id: 1, papel: 'admin', pessoaId: 1, organizadoraId: null };
/** Person and user of whoever gives to the campaign with this id, and to no other. */
const doador = (campanha: number): Usuario => ({
  id: campanha + 10,
  papel: 'doador',
  pessoaId: campanha + 10,
  organizadoraId: null,
});

/** Which register a campaign belongs to. */
function registerOf(campanha: number): string {
  if (campanha === RASCUNHO) return 'rascunho';
  if ((DOACOES as readonly number[]).includes(campanha)) return `doacoes${campanha}`;
  return `${(CONTAS as readonly number[]).includes(campanha) ? 'conta' : 'campanha'}${campanha}`;
}

/** Amounts begin at one real, since the tables refuse less. */
const reais = (version: number): string => `${version + 1}.00`;

async function prepare(client: ClientBase): Promise<void> {
  const pessoas = [1, ...[...CONTAS, ...DOACOES].map((campanha) => doador(campanha).pessoaId)];
  await client.query(
    `insert into organizadoras (id, nome, nome_busca, cnpj, cidade, uf)
     select id, 'Conta v0', '', lpad(id::text, 14, '0'), 'Recife', 'PE' from generate_series(1, 4) as id`,
  );
  await client.query(
    `insert into pessoas (id, nome, nome_publico) select id, 'Pessoa ' || id, 'Conta v0' from unnest($1::int[]) as id`,
    [pessoas],
  );
  await client.query(
    `insert into usuarios (id, username, senha_hash, papel, pessoa_id)
     select id, case id when 1 then 'admin' else 'doador' || id end, '$argon2id$nobody logs in',
            case id when 1 then 'admin' else 'doador' end, id
     from unnest($1::int[]) as id`,
    [pessoas],
  );
  await client.query(
    `insert into campanhas (id, organizadora_id, titulo, titulo_busca, descricao, meta, status)
     select id, least(id, 4), 'Campanha v0', '', 'v0', 1, case id when ${RASCUNHO} then 'rascunho' else 'ativa' end
     from unnest($1::int[]) as id`,
    [CAMPANHA_IDS],
  );
  await client.query(
    `insert into doacoes (campanha_id, pessoa_id, valor) select id, id + 10, 1 from unnest($1::int[]) as id`,
    [[...CONTAS, ...DOACOES]],
  );
}

interface Campanha {
  readonly id: number;
  readonly titulo: string;
  readonly meta: string;
  readonly descricao?: string;
  readonly arrecadado: string;
  readonly total_doacoes: number;
  readonly organizadora: { readonly nome: string };
  readonly ultimas_doacoes?: readonly { readonly valor: string; readonly doador: string | null }[];
}

type Places = [register: string, version: number][];

const inText = (text: string): number => Number(/v(\d+)/.exec(text)?.[1] ?? Number.NaN);
const inReais = (valor: string): number => Number(valor) - 1;
/** 1 + 2 + … + (n + 1) reais have been given. */
const inSum = (arrecadado: string): number => (Math.sqrt(8 * Number(arrecadado) + 1) - 1) / 2 - 1;

function readCampanha(campanha: Campanha): Places {
  const register = registerOf(campanha.id);
  const [ultima] = campanha.ultimas_doacoes ?? [];
  const places: Places = [];
  if (register.startsWith('doacoes')) {
    // An empty table stands for no version: it is on its way to being filled again.
    if (campanha.total_doacoes > 0) {
      places.push([register, campanha.total_doacoes - 1], [register, inSum(campanha.arrecadado)]);
    }
    if (ultima) places.push([register, inReais(ultima.valor)]);
    return places;
  }
  places.push([register, inText(campanha.titulo)], [register, inReais(campanha.meta)]);
  if (campanha.descricao !== undefined) places.push([register, inText(campanha.descricao)]);
  if (!register.startsWith('conta')) return places;
  places.push([register, inText(campanha.organizadora.nome)]);
  if (campanha.total_doacoes > 0) places.push([register, inReais(campanha.arrecadado)]);
  if (ultima) places.push([register, inReais(ultima.valor)], [register, inText(ultima.doador ?? '')]);
  return places;
}

/** The pages of this data have few rows, and hold everything. */
function readList<Row>(body: string, read: (row: Row) => Places): Reading {
  return { versions: (JSON.parse(body) as { resultados: Row[] }).resultados.flatMap(read) };
}

const readCampanhas = (body: string): Reading => readList<Campanha>(body, readCampanha);

const CONTA_REGISTERS = CONTAS.map(registerOf);
const PUBLICADAS = [...CONTAS, ...CAMPANHAS, ...DOACOES].map(registerOf);

const readers: Reader[] = [
  { url: '/api/campanhas/listar/', weight: 4, shows: PUBLICADAS, read: readCampanhas },
  { url: '/api/campanhas/listar/?status=ativa', weight: 2, shows: PUBLICADAS, read: readCampanhas },
  { url: '/api/campanhas/listar/?busca=campanha', shows: PUBLICADAS, read: readCampanhas },
  { url: '/api/campanhas/listar/?status=rascunho', user: 'admin', weight: 3, shows: [], read: readCampanhas },
  {
    url: '/api/organizadoras/listar/',
    weight: 2,
    shows: CONTA_REGISTERS,
    read: (body) =>
      readList<{ id: number; nome: string }>(body, ({ id, nome }) => (id > 3 ? [] : [[registerOf(id), inText(nome)]])),
  },
  {
    url: '/api/pessoas/listar/',
    weight: 2,
    shows: CONTA_REGISTERS,
    read: (body) =>
      readList<{ id: number; nome_publico: string }>(body, ({ id, nome_publico }) =>
        id > 10 && id <= 13 ? [[registerOf(id - 10), inText(nome_publico)]] : [],
      ),
  },
  ...CAMPANHA_IDS.filter((id) => id !== RASCUNHO).map(
    (id): Reader => ({
      url: `/api/campanhas/${id}/`,
      weight: 3,
      shows: [registerOf(id)],
      read: (body) => ({ versions: readCampanha(JSON.parse(body)) }),
    }),
  ),
  {
    url: `/api/campanhas/${RASCUNHO}/`,
    user: 'admin',
    weight: 3,
    shows: ['rascunho'],
    read: (body) => ({ versions: readCampanha(JSON.parse(body)) }),
  },
  ...CONTAS.flatMap((id): Reader[] => [
    {
      url: `/api/organizadoras/${id}/`,
      weight: 2,
      shows: [registerOf(id)],
      read: (body) => ({ versions: [[registerOf(id), inText(JSON.parse(body).nome)]] }),
    },
    {
      url: `/api/pessoas/${id + 10}/`,
      weight: 2,
      shows: [registerOf(id)],
      read: (body) => ({ versions: [[registerOf(id), inText(JSON.parse(body).nome_publico)]] }),
    },
    {
      url: `/api/pessoas/${id + 10}/completa/`,
      user: `doador${id}`,
      shows: [registerOf(id)],
      read(body) {
        const pessoa = JSON.parse(body);
        return { versions: [[registerOf(id), inText(pessoa.nome_publico)]], owner: `doador${pessoa.id - 10}` };
      },
    },
  ]),
  // One URL, and each has to be given their own.
  ...[...CONTAS, ...DOACOES].map(
    (id): Reader => ({
      url: '/api/doacoes/minhas/',
      user: `doador${id}`,
      weight: 3,
      shows: [registerOf(id)],
      read: readMinhas,
    }),
  ),
];

function readMinhas(body: string): Reading {
  const { total, total_doado, resultados } = JSON.parse(body) as {
    total: number;
    total_doado: string;
    resultados: { valor: string; campanha: { id: number; titulo: string } }[];
  };
  const [ultima] = resultados;
  if (!ultima) return { versions: [] };
  const { campanha } = ultima;
  const register = registerOf(campanha.id);
  const versions: Places = [[register, inReais(ultima.valor)]];
  if (register.startsWith('doacoes')) {
    if (total > 0) versions.push([register, total - 1], [register, inSum(total_doado)]);
  } else {
    if (total > 0) versions.push([register, inReais(total_doado)]);
    versions.push([register, inText(campanha.titulo)]);
  }
  return { versions, owner: `doador${campanha.id}` };
}

/** The four tables of one conta. */
function escreverConta(id: number, versions: Versions, donation: boolean): { text: string; values: unknown[] }[] {
  const version = versions[registerOf(id)] as number;
  const nome = `Conta v${version}`;
  const statements = [
    { text: 'update pessoas set nome_publico = $2 where id = $1', values: [id + 10, nome] },
    {
      text: 'update campanhas set titulo = $2, descricao = $3, meta = $4 where id = $1',
      values: [id, `Campanha v${version}`, `v${version}`, reais(version)],
    },
    { text: 'update organizadoras set nome = $2 where id = $1', values: [id, nome] },
  ];
  const doacao = { text: 'update doacoes set valor = $2 where campanha_id = $1', values: [id, reais(version)] };
  return donation ? [doacao, ...statements] : statements;
}

/** Everything is taken out and put back: a table that is loaded anew by somebody who has never heard of a cache. */
const ENCHER_DE_NOVO = `do $$ declare copia doacoes[]; begin
  lock table doacoes in access exclusive mode;
  select array_agg(d order by d.id) into copia from doacoes d;
  truncate doacoes;
  insert into doacoes overriding system value select * from unnest(copia);
end $$`;

const umaConta = (id: number): SqlWriter => ({
  kind: 'sql',
  name: 'transaction over four tables',
  registers: [registerOf(id)],
  weight: 2,
  statements: (versions) => escreverConta(id, versions, true),
});

const writers: Writer[] = [
  ...CAMPANHAS.map(
    (id): Writer => ({
      kind: 'request',
      name: 'application: PUT',
      user: 'admin',
      registers: [registerOf(id)],
      request(versions) {
        const version = versions[registerOf(id)] as number;
        const body = {
          titulo: `Campanha v${version}`,
          descricao: `v${version}`,
          meta: reais(version),
          status: 'ativa',
        };
        return { method: 'PUT', url: `/api/campanhas/${id}/`, body };
      },
    }),
  ),
  ...DOACOES.map(
    (id): Writer => ({
      kind: 'request',
      name: 'application: POST',
      user: `doador${id}`,
      registers: [registerOf(id)],
      request: (versions) => ({
        method: 'POST',
        url: '/api/doacoes/',
        body: { campanha_id: id, valor: reais(versions[registerOf(id)] as number) },
      }),
    }),
  ),
  ...CONTAS.map(umaConta),
  {
    kind: 'sql',
    name: 'draft and published by turns',
    registers: ['rascunho'],
    weight: 2,
    statements({ rascunho = 0 }) {
      const status = rascunho % 2 === 0 ? 'rascunho' : 'ativa';
      return [
        {
          text: 'update campanhas set titulo = $2, descricao = $3, meta = $4, status = $5 where id = $1',
          values: [RASCUNHO, `Campanha v${rascunho}`, `v${rascunho}`, reais(rascunho), status],
        },
      ];
    },
  },
  {
    kind: 'sql',
    name: 'bulk UPDATE',
    registers: CONTA_REGISTERS,
    statements(versions) {
      const values = CONTAS.map((id) => versions[registerOf(id)] as number);
      const of = (column: string): string =>
        `from unnest(array[${CONTAS.join(', ')}], $1::int[]) as n (id, v) where ${column}`;
      return [
        { text: `update doacoes d set valor = n.v + 1 ${of('d.campanha_id = n.id')}`, values: [values] },
        { text: `update pessoas p set nome_publico = 'Conta v' || n.v ${of('p.id = n.id + 10')}`, values: [values] },
        {
          text: `update campanhas c set titulo = 'Campanha v' || n.v, descricao = 'v' || n.v, meta = n.v + 1 ${of('c.id = n.id')}`,
          values: [values],
        },
        { text: `update organizadoras o set nome = 'Conta v' || n.v ${of('o.id = n.id')}`, values: [values] },
      ];
    },
  },
  {
    kind: 'psql',
    name: 'psql: COPY',
    registers: [registerOf(1)],
    weight: 2,
    script: (versions) =>
      [
        'delete from doacoes where campanha_id = 1;',
        'copy doacoes (campanha_id, pessoa_id, valor) from stdin;',
        `1\t11\t${reais(versions.conta1 as number)}`,
        '\\.',
        ...escreverConta(1, versions, false).map(inline),
      ].join('\n'),
  },
  {
    kind: 'sql',
    name: 'TRUNCATE, and filled again',
    registers: [registerOf(3)],
    empties: [...CONTA_REGISTERS, ...DOACOES.map(registerOf)],
    weight: 0.5,
    statements: (versions) => [{ text: ENCHER_DE_NOVO }, ...escreverConta(3, versions, true)],
  },
];

/** The statement with its values in it, for psql. They are ours: numbers and short words. */
function inline({ text, values }: { text: string; values: unknown[] }): string {
  return `${text.replace(/\$(\d)/g, (_, index) => `'${values[Number(index) - 1]}'`)};`;
}

const entrar = (usuario: Usuario) => ({
  headers: async (secret: string) => ({
    authorization: `Bearer ${await createAcessos({ secret }).sign(usuario)}`,
  }),
});

const tortura: Profile = defineProfile({
  prepare,
  registers: CAMPANHA_IDS.map(registerOf),
  users: {
    admin: entrar(ADMIN),
    ...Object.fromEntries([...CONTAS, ...DOACOES].map((id) => [`doador${id}`, entrar(doador(id))])),
  },
  readers,
  writers,
  schemaChanges: [
    ['alter table campanhas add column tortura integer', 'alter table campanhas drop column tortura'],
    ['create index doacoes_tortura on doacoes (valor)', 'drop index doacoes_tortura'],
    ["alter table pessoas add column tortura text default 'x'", 'alter table pessoas drop column tortura'],
    [
      'alter table doacoes alter column valor set statistics 50',
      'alter table doacoes alter column valor set statistics -1',
    ],
  ],
});

export default tortura;
