/**
 * Development data: the same rows every time, wherever it runs. Everything random comes from one seeded generator, in one
 * order, and every date is relative to {@link REFERENCE}; nothing reads the clock.
 */
import { createHash } from 'node:crypto';
import { en, Faker, pt_BR } from '@faker-js/faker';
import type { Progress } from 'vazao';
import { completarCpf } from './cpf.ts';
import type { Client } from './database.ts';
import { abreviarNome } from './pessoas.ts';
import { cidadeComUf, descricao, nomeDeOrganizadora, tituloDeCampanha } from './seed-textos.ts';
import { type Distribuicao, zipf } from './seed-zipf.ts';
import { senhas } from './senhas.ts';
import { USUARIOS_DE_DESENVOLVIMENTO } from './usuarios-de-desenvolvimento.ts';

export interface SeedSizes {
  readonly organizadoras: number;
  readonly campanhas: number;
  readonly pessoas: number;
  readonly doacoes: number;
}

const SEED_SIZES: SeedSizes = { organizadoras: 50, campanhas: 1_000, pessoas: 20_000, doacoes: 200_000 };

const FAKER_SEED = 20_250_101;
const REFERENCE = Date.UTC(2025, 0, 1);
const DAY_MS = 86_400_000;
const BATCH_ROWS = 10_000;

/** How long each part takes, in shares of the whole; for the progress alone. */
const SHARES = { usuarios: 0.04, organizadoras: 0.05, pessoas: 0.2, campanhas: 0.25, doacoes: 0.97 } as const;

export async function seed(client: Client, progress: Progress, sizes: SeedSizes = SEED_SIZES): Promise<void> {
  const faker = new Faker({ locale: [pt_BR, en], seed: FAKER_SEED });
  faker.setDefaultRefDate(new Date(REFERENCE));
  const senhas = await hashSenhas();
  progress(SHARES.usuarios, 'passwords hashed');
  await seedOrganizadoras(client, faker, sizes);
  progress(SHARES.organizadoras, `${sizes.organizadoras} organizadoras`);
  await seedPessoas(client, faker, sizes);
  await seedUsuarios(client, senhas);
  progress(SHARES.pessoas, `${sizes.pessoas} pessoas`);
  const campanhas = await seedCampanhas(client, faker, sizes);
  progress(SHARES.campanhas, `${sizes.campanhas} campanhas`);
  await seedDoacoes(client, faker, sizes, campanhas, (fraction) =>
    progress(SHARES.campanhas + fraction * (SHARES.doacoes - SHARES.campanhas), `${sizes.doacoes} doações`),
  );
  for (const table of ['organizadoras', 'pessoas', 'usuarios', 'campanhas', 'doacoes']) {
    await client.query(`select setval(pg_get_serial_sequence('${table}', 'id'), max(id)) from ${table}`);
    await client.query(`analyze ${table}`); // the first plans should not wait for autovacuum
  }
  progress(1, 'done');
}

/** Salts by name, so that the rows are the same each time. Only for these passwords, which are public anyway. */
async function hashSenhas(): Promise<string[]> {
  return Promise.all(
    USUARIOS_DE_DESENVOLVIMENTO.map(({ username, senha }) =>
      senhas.hash(senha, createHash('sha256').update(`conectades ${username}`).digest().subarray(0, 16)),
    ),
  );
}

async function seedOrganizadoras(client: Client, faker: Faker, sizes: SeedSizes): Promise<void> {
  const rows = range(sizes.organizadoras).map((id) => [
    id,
    nomeDeOrganizadora(faker),
    String(id).padStart(8, '0') + faker.string.numeric(6),
    descricao(faker, 2),
    ...cidadeComUf(faker),
    new Date(REFERENCE - faker.number.int({ min: 900, max: 2_000 }) * DAY_MS),
  ]);
  await insert(client, 'organizadoras', {
    columns: 'id, nome, cnpj, descricao, cidade, uf, criado_em, atualizado_em, nome_busca',
    types: ['int', 'text', 'text', 'text', 'text', 'text', 'timestamptz'],
    select: "a1, a2, a3, a4, a5, a6, a7, a7, ''", // the trigger fills the last
    rows,
  });
}

async function seedPessoas(client: Client, faker: Faker, sizes: SeedSizes): Promise<void> {
  const rows = range(sizes.pessoas).map((id) => {
    const nome = `${faker.person.firstName()} ${faker.person.lastName()} ${faker.person.lastName()}`;
    const cadastro = new Date(REFERENCE - faker.number.int({ min: 0, max: 800 * DAY_MS }));
    const cpf = completarCpf(String(id).padStart(9, '0'));
    // example.com is reserved: no mail ever reaches anyone.
    return [id, nome, abreviarNome(nome), `pessoa${id}@example.com`, cpf, ...cidadeComUf(faker), cadastro];
  });
  await insert(client, 'pessoas', {
    columns: 'id, nome, nome_publico, email, cpf, cidade, uf, criado_em, atualizado_em',
    types: ['int', 'text', 'text', 'text', 'text', 'text', 'text', 'timestamptz'],
    select: 'a1, a2, a3, a4, a5, a6, a7, a8, a8',
    rows,
  });
}

/** User n is person n; `organizadora3` works for organisation 3. */
async function seedUsuarios(client: Client, senhas: readonly string[]): Promise<void> {
  const rows = USUARIOS_DE_DESENVOLVIMENTO.map(({ username, papel }, index) => [
    index + 1,
    username,
    senhas[index],
    papel,
    index + 1,
    papel === 'organizadora' ? Number(username.slice(-1)) : null,
    new Date(REFERENCE),
  ]);
  await insert(client, 'usuarios', {
    columns: 'id, username, senha_hash, papel, pessoa_id, organizadora_id, criado_em',
    types: ['int', 'text', 'text', 'text', 'int', 'int', 'timestamptz'],
    rows,
  });
}

interface CampanhaAberta {
  readonly id: number;
  readonly inicio: number;
  readonly fim: number;
}

/** Five in a hundred are drafts, thirty closed. Returns those that can have donations. */
async function seedCampanhas(client: Client, faker: Faker, sizes: SeedSizes): Promise<CampanhaAberta[]> {
  const abertas: CampanhaAberta[] = [];
  // Newer campaigns have larger ids, as in real life: the list is ordered by them.
  const stepMs = (700 * DAY_MS) / sizes.campanhas;
  const rows = range(sizes.campanhas).map((id) => {
    const inicio = Math.round(REFERENCE - 702 * DAY_MS + id * stepMs);
    const chance = faker.number.float();
    const status = chance < 0.05 ? 'rascunho' : chance < 0.35 ? 'encerrada' : 'ativa';
    const fim =
      status === 'encerrada'
        ? inicio + Math.round((REFERENCE - inicio) * faker.number.float({ min: 0.2, max: 0.9 }))
        : REFERENCE;
    if (status !== 'rascunho') abertas.push({ id, inicio, fim });
    return [
      id,
      faker.number.int({ min: 1, max: sizes.organizadoras }),
      tituloDeCampanha(faker),
      descricao(faker, 4),
      `${faker.number.int({ min: 5, max: 500 }) * 1_000}.00`,
      status,
      status === 'encerrada' ? new Date(fim) : null,
      new Date(inicio),
    ];
  });
  await insert(client, 'campanhas', {
    columns:
      'id, organizadora_id, titulo, descricao, meta, status, encerrada_em, criado_em, atualizado_em, titulo_busca',
    types: ['int', 'int', 'text', 'text', 'numeric', 'text', 'timestamptz', 'timestamptz'],
    select: "a1, a2, a3, a4, a5, a6, a7, a8, a8, ''",
    rows,
  });
  return abertas;
}

const VALORES = ['10.00', '20.00', '25.00', '30.00', '50.00', '50.00', '100.00', '100.00', '200.00', '500.00'];

/** A few campaigns and a few people get most of the donations; ids grow with time. */
async function seedDoacoes(
  client: Client,
  faker: Faker,
  sizes: SeedSizes,
  campanhas: readonly CampanhaAberta[],
  onProgress: (fraction: number) => void,
): Promise<void> {
  const pick = (values: Distribuicao): number => values(faker.number.float());
  const popularidade = zipf(campanhas.length, 0.8);
  const generosidade = zipf(sizes.pessoas, 0.5);
  const embaralhadas = faker.helpers.shuffle([...campanhas]); // the popular ones are not the newest ones
  const doacoes = range(sizes.doacoes).map(() => {
    const { id, inicio, fim } = embaralhadas[pick(popularidade)] as CampanhaAberta;
    const quando = inicio + Math.floor((fim - inicio) * faker.number.float());
    const hasCentavos = faker.number.float() < 0.3;
    const valor = hasCentavos
      ? (faker.number.int({ min: 100, max: 50_000 }) / 100).toFixed(2)
      : faker.helpers.arrayElement(VALORES);
    return { campanhaId: id, pessoaId: pick(generosidade) + 1, valor, anonima: faker.number.float() < 0.1, quando };
  });
  doacoes.sort((a, b) => a.quando - b.quando);
  const rows = doacoes.map(({ campanhaId, pessoaId, valor, anonima, quando }, index) => [
    index + 1,
    campanhaId,
    pessoaId,
    valor,
    anonima,
    new Date(quando),
  ]);
  await insert(client, 'doacoes', {
    columns: 'id, campanha_id, pessoa_id, valor, anonima, criado_em',
    types: ['bigint', 'int', 'int', 'numeric', 'bool', 'timestamptz'],
    rows,
    onProgress,
  });
}

interface Insertion {
  readonly columns: string;
  readonly types: readonly string[];
  /** What of the arrays `a1`, `a2` … goes into the columns. @defaultValue all of them, in order */
  readonly select?: string | undefined;
  readonly rows: readonly (readonly unknown[])[];
  readonly onProgress?: ((fraction: number) => void) | undefined;
}

/** One array per column: few parameters, one plan, whatever the number of rows. */
async function insert(client: Client, table: string, insertion: Insertion): Promise<void> {
  const { columns, types, rows, onProgress } = insertion;
  const names = types.map((_, index) => `a${index + 1}`).join(', ');
  const arrays = types.map((type, index) => `$${index + 1}::${type}[]`).join(', ');
  const text = `insert into ${table} (${columns}) select ${insertion.select ?? names} from unnest(${arrays}) as t(${names})`;
  for (let start = 0; start < rows.length; start += BATCH_ROWS) {
    const batch = rows.slice(start, start + BATCH_ROWS);
    const toText = (value: unknown): unknown => (value instanceof Date ? value.toISOString() : value);
    await client.query(
      text,
      types.map((_, column) => batch.map((row) => toText(row[column]))),
    );
    onProgress?.(Math.min(1, (start + BATCH_ROWS) / rows.length));
  }
}

function range(length: number): number[] {
  return Array.from({ length }, (_, index) => index + 1);
}
