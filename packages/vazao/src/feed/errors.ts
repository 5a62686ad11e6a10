/**
 * Errors of the feed. `code` is stable; the message is a sentence for people that says what to do, with the exact
 * statement or setting where there is one. SQLSTATEs are translated here and nowhere else.
 */
export type FeedErrorCode =
  | 'ERR_FEED_AUTHENTICATION'
  | 'ERR_FEED_CLOSED'
  | 'ERR_FEED_CONNECTION'
  | 'ERR_FEED_DATABASE'
  | 'ERR_FEED_HEARTBEAT'
  | 'ERR_FEED_LISTENER'
  | 'ERR_FEED_NO_FREE_CONNECTION'
  | 'ERR_FEED_NO_FREE_SENDER'
  | 'ERR_FEED_NO_FREE_SLOT'
  | 'ERR_FEED_OPTIONS'
  | 'ERR_FEED_POOLER'
  | 'ERR_FEED_PRIVILEGE'
  | 'ERR_FEED_PROTOCOL'
  | 'ERR_FEED_PUBLICATION'
  /** `max_replication_slots` or `max_wal_senders` is 0. */
  | 'ERR_FEED_REPLICATION_OFF'
  | 'ERR_FEED_SLOT_TIMEOUT'
  | 'ERR_FEED_STANDBY'
  | 'ERR_FEED_STREAM'
  /** The database has no encoding: different bytes may arrive as the same text. */
  | 'ERR_FEED_ENCODING'
  | 'ERR_FEED_VERSION'
  | 'ERR_FEED_WAL_LEVEL';

export class FeedError extends Error {
  readonly code: FeedErrorCode;

  constructor(code: FeedErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'FeedError';
    this.code = code;
  }
}

/** SQLSTATE of an error, `undefined` for errors that PostgreSQL did not send. */
export function sqlStateOf(error: unknown): string | undefined {
  const code = (error as { code?: unknown } | null)?.code;
  return typeof code === 'string' && /^[0-9A-Z]{5}$/.test(code) ? code : undefined;
}

/** Translates whatever `pg` threw. A {@link FeedError} passes unchanged. */
export function toFeedError(error: unknown): FeedError {
  if (error instanceof FeedError) return error;
  const text = error instanceof Error ? error.message : String(error);
  const rule = RULES.find((candidate) => candidate.matches(sqlStateOf(error), text));
  return rule
    ? new FeedError(rule.code, `${rule.remedy} (PostgreSQL says: ${text})`, { cause: error })
    : new FeedError('ERR_FEED_DATABASE', `The database refused what the feed asked of it: ${text}`, { cause: error });
}

interface Rule {
  readonly code: FeedErrorCode;
  matches(state: string | undefined, text: string): boolean;
  readonly remedy: string;
}

/** The first rule that matches decides. */
const RULES: readonly Rule[] = [
  {
    code: 'ERR_FEED_NO_FREE_SLOT',
    matches: (state, text) => /replication slots are in use|max_replication_slots/.test(text) && state !== '57P01',
    remedy:
      'There is no free replication slot. Raise it with `alter system set max_replication_slots = 20` and restart PostgreSQL, or drop a slot that nobody uses: `select slot_name, active from pg_replication_slots`.',
  },
  {
    code: 'ERR_FEED_NO_FREE_SENDER',
    matches: (_state, text) => /max_wal_senders/.test(text),
    remedy:
      'There is no free WAL sender. Raise it with `alter system set max_wal_senders = 20` and restart PostgreSQL.',
  },
  {
    code: 'ERR_FEED_WAL_LEVEL',
    matches: (_state, text) => /wal_level/.test(text),
    remedy: 'The feed needs `wal_level = logical`: `alter system set wal_level = logical`, then restart PostgreSQL.',
  },
  {
    code: 'ERR_FEED_POOLER',
    matches: (state, text) =>
      (state === '08P01' && /unsupported startup parameter|replication/.test(text)) ||
      /syntax error at or near "?(IDENTIFY_SYSTEM|CREATE_REPLICATION_SLOT)/.test(text),
    remedy:
      'A connection pooler stands between the feed and PostgreSQL, and it does not pass logical replication. Give the feed the address of PostgreSQL itself.',
  },
  {
    code: 'ERR_FEED_PRIVILEGE',
    matches: (state, text) => state === '42501' && /replication|walsender|WAL sender/i.test(text),
    remedy: 'The role may not use replication. As a superuser: `alter role <role> replication`.',
  },
  {
    code: 'ERR_FEED_AUTHENTICATION',
    matches: (state) => state?.startsWith('28') === true,
    remedy: 'PostgreSQL does not accept the user or the password; check the connection string and `pg_hba.conf`.',
  },
  {
    code: 'ERR_FEED_NO_FREE_CONNECTION',
    matches: (state) => state === '53300',
    remedy:
      'PostgreSQL has no free connection; the feed needs three. Raise `max_connections`, or make the application pools smaller.',
  },
  {
    code: 'ERR_FEED_CONNECTION',
    matches: (state, text) =>
      (state !== undefined && /^(08|57P0|3D000)/.test(state)) ||
      /^connect |ECONN|ENOTFOUND|EPIPE|EHOSTUNREACH|ETIMEDOUT|timeout expired|Connection terminated|not queryable|SSL/.test(
        text,
      ),
    remedy: 'The database cannot be reached; check that it runs and that the connection string names it.',
  },
  {
    code: 'ERR_FEED_PUBLICATION',
    matches: (state) => state === '42501',
    remedy:
      'The role may not change what the feed needs. Make it the owner of the publication and of the tables, or let a superuser run `vazao doctor`.',
  },
];
