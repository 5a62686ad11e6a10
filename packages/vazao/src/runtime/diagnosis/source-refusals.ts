/** What keeps a feed of each source from starting, as far as it can be seen without starting one. */
import type pg from 'pg';
import { type FeedErrorCode, toFeedError } from '../../feed/errors.ts';
import { type DatabaseSource, PUBLICATION_DEFAULT } from '../../feed/index.ts';
import { checkPreconditions, checkServer } from '../../feed/preconditions.ts';
import { checkPublication } from './publication.ts';

export interface Refusal {
  /** That with which the start fails: it says whether a weaker source is tried. */
  readonly code: FeedErrorCode;
  readonly message: string;
  readonly remedy: readonly string[];
}

const REFUSALS: Readonly<Record<DatabaseSource, (client: pg.Client) => Promise<Refusal | undefined>>> = {
  wal: async (client) => (await refusalOf(checkPreconditions(client))) ?? findPublicationRefusal(client),
  outbox: async (client) => (await refusalOf(checkServer(client))) ?? findOutboxRefusal(client),
  app: (client) => refusalOf(checkServer(client)),
};

/** Undefined: nothing is in the way. */
export function findRefusal(client: pg.Client, source: DatabaseSource): Promise<Refusal | undefined> {
  return REFUSALS[source](client);
}

async function refusalOf(check: Promise<unknown>): Promise<Refusal | undefined> {
  try {
    await check;
    return undefined;
  } catch (error) {
    const { code, message } = toFeedError(error);
    return { code, message, remedy: [] };
  }
}

interface Rights {
  readonly database: string;
  readonly role: string;
  readonly mayCreate: boolean;
  readonly hasPublication: boolean;
  readonly mayCreateInSchema: boolean;
  /** Of the outbox; null while there is none. */
  readonly owner: string | null;
  readonly isOwner: boolean | null;
}

async function findRights(client: pg.Client): Promise<Rights> {
  const { rows } = await client.query<Rights>(
    `select quote_ident(current_database()) as database, quote_ident(current_user) as role,
       has_database_privilege(current_database(), 'CREATE') as "mayCreate",
       exists (select from pg_publication where pubname = $1) as "hasPublication",
       coalesce(has_schema_privilege(n.oid, 'CREATE'), true) as "mayCreateInSchema",
       c.relowner::regrole::text as owner, pg_has_role(c.relowner, 'USAGE') as "isOwner"
     from (select) one left join pg_namespace n on nspname = 'vazao'
       left join pg_class c on relnamespace = n.oid and relname = 'outbox'`,
    [PUBLICATION_DEFAULT],
  );
  return rows[0] as Rights;
}

/** A role that may replicate is taken to be meant to: what it lacks besides is no reason for a weaker source. */
async function findPublicationRefusal(client: pg.Client): Promise<Refusal | undefined> {
  const code = 'ERR_FEED_PUBLICATION';
  const { database, role, mayCreate, hasPublication } = await findRights(client);
  if (!hasPublication && !mayCreate) {
    const message = `The role ${role} may not create the publication.`;
    return { code, message, remedy: [grantCreate(database, role)] };
  }
  const fault = (await checkPublication(client)).find(({ level }) => level === 'failure');
  return fault && { code, message: fault.detail, remedy: fault.remedy };
}

async function findOutboxRefusal(client: pg.Client): Promise<Refusal | undefined> {
  const { database, role, mayCreate, mayCreateInSchema, owner, isOwner } = await findRights(client);
  if (isOwner ?? (mayCreate && mayCreateInSchema)) return undefined;
  const code = 'ERR_FEED_PRIVILEGE';
  if (isOwner === false) {
    const remedy = [`Set DATABASE_URL to the role ${owner}, or: GRANT ${owner} TO ${role};`];
    return { code, message: `The outbox belongs to the role ${owner}.`, remedy };
  }
  const remedy = [
    ...(mayCreate ? [] : [grantCreate(database, role)]),
    ...(mayCreateInSchema ? [] : [`GRANT USAGE, CREATE ON SCHEMA vazao TO ${role};`]),
  ];
  return { code, message: `The role ${role} may not create the outbox.`, remedy };
}

function grantCreate(database: string, role: string): string {
  return `GRANT CREATE ON DATABASE ${database} TO ${role};`;
}
