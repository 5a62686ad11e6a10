/** Where sessions are kept. Whoever reads a store learns no session's id: it knows hashes alone. */
import type { Identity } from '../../options.ts';

export type SessionData = Readonly<Record<string, unknown>>;

export interface StoredSession {
  /** Who has logged in, without `expiresAt`; undefined before. */
  readonly user: Identity | undefined;
  readonly data: SessionData;
  /** When it ends if nobody uses it, or if everybody does, whichever comes first; in milliseconds since 1970. */
  readonly endsAt: number;
}

/** A session as its user may see it in a list. Times are in milliseconds since 1970. */
export interface ListedSession {
  /** Names it to the user, and proves nothing: who has it can't use the session. */
  readonly handle: string;
  readonly data: SessionData;
  readonly startedAt: number;
  /** When it was last used, to a tenth of the idle time. */
  readonly seenAt: number;
  readonly endsAt: number;
}

/** Of one user; older ones are not listed. */
export const LISTED_MAX = 100;

export const handleOf = (hash: Buffer): string => hash.toString('base64url');

export interface SessionLifetimes {
  /** Without a request for so long, a session ends. In seconds. */
  readonly idleS: number;
  /** So long after it began, a session ends. In seconds. */
  readonly absoluteS: number;
}

/** Each method rejects when the store does not answer; none is sent twice. */
export interface SessionStore {
  /** A session that has not ended; its idle time begins anew. */
  find(hash: Buffer): Promise<StoredSession | undefined>;
  /** Begins a session in the place of another, if there was one. Resolves with its end. */
  replace(
    old: Buffer | undefined,
    hash: Buffer,
    session: Pick<StoredSession, 'user' | 'data'>,
  ): Promise<Pick<StoredSession, 'endsAt'>>;
  /** False when the session has ended. */
  write(hash: Buffer, data: SessionData): Promise<boolean>;
  remove(hash: Buffer): Promise<void>;
  /** The sessions of a user that have not ended, the newest first, {@link LISTED_MAX} at most. Looking at them is no use of them. */
  list(userId: string): Promise<ListedSession[]>;
  /** Ends all sessions of a user. */
  removeAll(userId: string): Promise<void>;
  close(): Promise<void> | void;
}
