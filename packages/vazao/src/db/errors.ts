/** Errors of the pool's own. `code` is stable; what PostgreSQL and pg say goes through as it is. */

/**
 * A replica could not go on in the middle of a fill, and on the primary the rows that the handler was given before are
 * others by now: to go on would mix two moments in one answer. Asked again, the request is computed anew.
 */
export class ReplicaConflictError extends Error {
  readonly code = 'ERR_DB_REPLICA_CONFLICT';
  /** As HTTP frameworks read it from an error that a handler did not catch. */
  readonly statusCode = 503;
  readonly headers: Readonly<Record<string, string>> = { 'retry-after': '1' };

  constructor(why: string, options?: ErrorOptions) {
    super(
      `The replica could not go on (${why}), and what it had answered before has changed on the primary. Ask again.`,
      options,
    );
    this.name = 'ReplicaConflictError';
  }
}

/**
 * All connections are in use, and there was no room to wait for one, or none came free in time. More `DATABASE_POOL` helps
 * where the database has the cores for it; else statements that are shorter, or fewer requests at a time.
 */
export class PoolBusyError extends Error {
  readonly code = 'ERR_DB_POOL_BUSY';
  /** As HTTP frameworks read it from an error that a handler did not catch. */
  readonly statusCode = 503;
  readonly headers: Readonly<Record<string, string>> = { 'retry-after': '1' };

  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'PoolBusyError';
  }
}
