import type { Client, Database } from './database.ts';
import { problemaDaSenha, senhas } from './senhas.ts';
import { inTransaction } from './transaction.ts';
import { USUARIOS_DE_DESENVOLVIMENTO } from './usuarios-de-desenvolvimento.ts';

const ADMIN_PASSWORD_LENGTH_MIN = 12;

/**
 * What speaks against serving in production: a development user with the password that is in this repository, or no
 * administrator and no password for the first one.
 */
export async function recusas(client: Pick<Client, 'query'>, adminPassword: string | undefined): Promise<string[]> {
  const { rows } = await client.query<{ username: string; senha_hash: string }>(
    'select username, senha_hash from usuarios where username = any($1) and ativo',
    [USUARIOS_DE_DESENVOLVIMENTO.map(({ username }) => username)],
  );
  const found: string[] = [];
  for (const { username, senha_hash } of rows) {
    const conhecida = USUARIOS_DE_DESENVOLVIMENTO.find((usuario) => usuario.username === username);
    if (conhecida && (await senhas.verify(conhecida.senha, senha_hash)).matches) {
      found.push(
        `User "${username}" still has the development password, which is public. Change it or deactivate the user.`,
      );
    }
  }
  if (await temAdmin(client)) return found;
  if (adminPassword === undefined || adminPassword.length < ADMIN_PASSWORD_LENGTH_MIN) {
    found.push(
      `There is no administrator yet. Set ADMIN_PASSWORD (at least ${ADMIN_PASSWORD_LENGTH_MIN} characters) for the first start.`,
    );
  } else if (await problemaDaSenha(adminPassword)) {
    found.push(
      'ADMIN_PASSWORD is one of the most used, or made of a word that is easily guessed here. Choose another.',
    );
  }
  return found;
}

/** Creates the first administrator with the password given, where there is none. */
export async function criarPrimeiroAdmin(db: Database, adminPassword: string | undefined): Promise<void> {
  if (adminPassword === undefined || (await temAdmin(db))) return;
  const senhaHash = await senhas.hash(adminPassword);
  await inTransaction(db, async (client) => {
    // Several workers start at once; one of them creates the user.
    await client.query("select pg_advisory_xact_lock(hashtext('conectades first administrator'))");
    const { rowCount } = await client.query("select 1 from usuarios where username = 'admin'");
    if (rowCount !== 0) return;
    await client.query(
      `with pessoa as (insert into pessoas (nome, nome_publico) values ('Administração', 'Administração') returning id)
       insert into usuarios (username, senha_hash, papel, pessoa_id) select 'admin', $1, 'admin', id from pessoa`,
      [senhaHash],
    );
  });
}

async function temAdmin(db: Pick<Client, 'query'>): Promise<boolean> {
  const { rowCount } = await db.query("select 1 from usuarios where papel = 'admin' and ativo limit 1");
  return rowCount !== 0;
}
