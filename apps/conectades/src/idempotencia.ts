/**
 * Idempotency keys (as in draft-ietf-httpapi-idempotency-key-header). The key is inserted in the same transaction as its work:
 *
 *   first request   inserts the key, works, stores its answer, commits
 *   concurrent twin waits on the unique key until the first ends; then replays its answer, or works itself if it failed
 *   later repeat    finds the key: same body → the stored answer with its status; other body → 422
 *
 * A request that fails leaves nothing behind, the key neither, so repeating it simply tries again.
 */
import { createHash } from 'node:crypto';
import type { Client } from './database.ts';
import { Problema } from './errors.ts';

/** How long an answer can be replayed. After that the key is as good as new. */
const VALIDITY_HOURS = 24;
/** Each new key removes up to two expired ones: the table cannot outgrow the keys of one period, and no timer is needed. */
const EXPIRED_REMOVED_MAX = 2;

/** Printable ASCII without spaces. */
export const CHAVE_PATTERN = '^[\\x21-\\x7e]{1,255}$';

export interface Resposta {
  readonly status: number;
  readonly corpo: unknown;
}

export interface PedidoComChave {
  readonly usuarioId: number;
  readonly chave: string;
  /** The body in one canonical form. */
  readonly corpo: string;
}

export async function comIdempotencia(
  client: Client,
  { usuarioId, chave, corpo }: PedidoComChave,
  work: () => Promise<Resposta>,
): Promise<{ resposta: Resposta; isRepetida: boolean }> {
  const hash = createHash('sha256').update(corpo).digest('hex');
  const { rowCount } = await client.query(
    `insert into chaves_idempotencia as k (usuario_id, chave, requisicao_hash) values ($1, $2, $3)
     on conflict (usuario_id, chave) do update
       set requisicao_hash = excluded.requisicao_hash, status = null, resposta = null, criado_em = now()
       where k.criado_em < now() - make_interval(hours => $4)`,
    [usuarioId, chave, hash, VALIDITY_HOURS],
  );
  if (rowCount === 0) return { resposta: await replay(client, usuarioId, chave, hash), isRepetida: true };

  const resposta = await work();
  await client.query('update chaves_idempotencia set status = $3, resposta = $4 where usuario_id = $1 and chave = $2', [
    usuarioId,
    chave,
    resposta.status,
    JSON.stringify(resposta.corpo),
  ]);
  await client.query(
    `delete from chaves_idempotencia where (usuario_id, chave) in (
       select usuario_id, chave from chaves_idempotencia
       where criado_em < now() - make_interval(hours => $1)
       order by criado_em limit $2 for update skip locked)`,
    [VALIDITY_HOURS, EXPIRED_REMOVED_MAX],
  );
  return { resposta, isRepetida: false };
}

async function replay(client: Client, usuarioId: number, chave: string, hash: string): Promise<Resposta> {
  const { rows } = await client.query<{ requisicao_hash: string; status: number | null; resposta: string | null }>(
    'select requisicao_hash, status, resposta from chaves_idempotencia where usuario_id = $1 and chave = $2',
    [usuarioId, chave],
  );
  const [stored] = rows;
  // Removed as expired between the two statements: as if it had never been; the client may try again.
  if (!stored || stored.status === null || stored.resposta === null) throw new Problema('indisponivel');
  if (stored.requisicao_hash !== hash) throw new Problema('chave_reutilizada');
  return { status: stored.status, corpo: JSON.parse(stored.resposta) };
}
