import type { Database } from './database.ts';
import { USUARIOS_DE_DESENVOLVIMENTO } from './seed.ts';
import { senhas } from './senhas.ts';
import { inTransaction } from './transaction.ts';

const ADMIN_PASSWORD_LENGTH_MIN = 12;

/**
 * In production, nobody logs in with a password that is in this repository: the start is refused while a development user still has
 * its own, and the first administrator is created with the password given.
 */
export async function prepararProducao(db: Database, adminPassword: string | undefined): Promise<void> {
  const { rows } = await db.query<{ username: string; senha_hash: string }>(
    'select username, senha_hash from usuarios where username = any($1) and ativo',
    [USUARIOS_DE_DESENVOLVIMENTO.map(({ username }) => username)],
  );
  for (const { username, senha_hash } of rows) {
    const conhecida = USUARIOS_DE_DESENVOLVIMENTO.find((usuario) => usuario.username === username);
    if (conhecida && (await senhas.verify(conhecida.senha, senha_hash)).matches) {
      throw new Error(
        `User "${username}" still has the development password, which is public. Change it or deactivate the user.`,
      );
    }
  }
  const { rowCount } = await db.query("select 1 from usuarios where papel = 'admin' and ativo limit 1");
  if (rowCount === 0) await criarAdmin(db, adminPassword);
}

async function criarAdmin(db: Database, adminPassword: string | undefined): Promise<void> {
  const isTooShort = (adminPassword?.length ?? 0) < ADMIN_PASSWORD_LENGTH_MIN;
  if (adminPassword === undefined || isTooShort) {
    throw new Error(
      `There is no administrator yet. Set ADMIN_PASSWORD (at least ${ADMIN_PASSWORD_LENGTH_MIN} characters) for the first start.`,
    );
  }
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
