/** What a failed connection means, in one sentence. SQLSTATEs of connecting are translated here and nowhere else. */
import { describeError, errorCode, RuntimeError } from './errors.ts';

/** Translates what connecting to `url` threw. The password is never part of the message. */
export function toDatabaseError(error: unknown, url: string): RuntimeError {
  if (error instanceof RuntimeError) return error;
  const target = describeTarget(url);
  const code = errorCode(error) ?? '';
  const sentence = SENTENCES[code]?.(target) ?? byMessage(describeError(error), target);
  return new RuntimeError('ERR_RUNTIME_DATABASE', sentence, { cause: error });
}

interface Target {
  readonly place: string;
  readonly user: string;
  readonly database: string;
}

const refused = ({ place }: Target): string =>
  `Nothing answers at ${place}. Start PostgreSQL there, or correct DATABASE_URL; without DATABASE_URL an embedded PostgreSQL is used.`;
const unreachable = ({ place }: Target): string =>
  `PostgreSQL at ${place} did not answer in time. Check the address in DATABASE_URL and the firewall between here and there.`;

const SENTENCES: Readonly<Record<string, (target: Target) => string>> = {
  ECONNREFUSED: refused,
  ENOENT: refused,
  ENOTFOUND: ({ place }) => `There is no host of the name in DATABASE_URL (${place}). Correct it, or check the DNS.`,
  EAI_AGAIN: ({ place }) => `The name in DATABASE_URL (${place}) can't be looked up now. Check the DNS.`,
  ETIMEDOUT: unreachable,
  EHOSTUNREACH: unreachable,
  ENETUNREACH: unreachable,
  '28P01': ({ place, user }) =>
    `PostgreSQL at ${place} does not accept the password of the user ${user}. Correct it in DATABASE_URL.`,
  '28000': ({ place, user }) =>
    `PostgreSQL at ${place} does not let the user ${user} in from here. Check that the role exists and may log in, and \`pg_hba.conf\`.`,
  '3D000': ({ place, user, database }) =>
    `PostgreSQL at ${place} has no database ${database}, and the user ${user} may not create it. Create it: \`create database "${database}" owner "${user}"\`.`,
  '53300': ({ place }) =>
    `PostgreSQL at ${place} has no free connection. End some, raise \`max_connections\`, or lower DATABASE_POOL.`,
  '57P03': ({ place }) => `PostgreSQL at ${place} is starting up or shutting down. Try again in a moment.`,
};

/** SQLSTATEs and Node's codes of a database that can't be reached, or lets nobody in at the moment. */
const AWAY =
  /^(?:ECONNREFUSED|ECONNRESET|EPIPE|ENOTFOUND|EAI_AGAIN|ETIMEDOUT|EHOSTUNREACH|ENETUNREACH|08...|28...|3D000|53300|57P0[1-5]|ERR_RUNTIME_DATABASE|ERR_FEED_HEARTBEAT)$/;

/**
 * What pg says without a code. Of a connection that was cut: to the statement that was under way, and to the next one. A client that
 * we have closed ourselves says otherwise, and is our own mistake.
 */
const LOST =
  /^Connection terminated|^Client has encountered a connection error|timeout expired|^timeout exceeded when trying to connect/;

/** Whether the database, and not what was run on it, is the reason, at any depth. */
export function isDatabaseAway(error: unknown): boolean {
  for (let at: unknown = error, depth = 0; at instanceof Error && depth < 10; at = at.cause, depth++) {
    const code = errorCode(at) ?? '';
    // A file may be missing, too; a socket is connected to.
    if (AWAY.test(code) || (code === 'ENOENT' && 'syscall' in at && at.syscall === 'connect')) return true;
    if (LOST.test(at.message)) return true;
  }
  return false;
}

function byMessage(message: string, target: Target): string {
  if (/timeout expired|timed out/i.test(message)) return unreachable(target);
  if (/does not support SSL/i.test(message)) {
    return `PostgreSQL at ${target.place} does not speak TLS, and DATABASE_URL asks for it. Append \`?sslmode=disable\` to DATABASE_URL, or turn TLS on there.`;
  }
  if (/SASL|client password must be a string/i.test(message)) {
    return `PostgreSQL at ${target.place} wants a password for the user ${target.user}, and DATABASE_URL has none. Add it.`;
  }
  return `PostgreSQL at ${target.place} can't be used: ${message.replace(/\.$/, '')}. Check DATABASE_URL.`;
}

function describeTarget(url: string): Target {
  const { hostname, port, username, pathname } = new URL(url);
  return {
    place: `${hostname || 'localhost'}:${port || '5432'}`,
    user: decodeURIComponent(username) || 'of this process',
    database: decodeURIComponent(pathname.slice(1)),
  };
}
