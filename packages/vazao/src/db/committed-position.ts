import { FLUSHED_POSITION_SQL, INSERTED_POSITION_SQL } from '../feed/index.ts';

/**
 * SQL: a position before which lies every commit that has been visible so far, as text.
 *
 * The flushed position is enough, for a commit becomes visible, and returns, after its record was flushed; and it is
 * better than the inserted one, which may count records of others that nobody flushes for up to `wal_writer_delay`. Only
 * with `synchronous_commit = off` a commit is visible unflushed, and then the inserted position is taken.
 *
 * It looks at the setting of the session that asks. Of another session that alone has it off, a commit may be seen here up
 * to three `wal_writer_delay` before it is flushed, and lie behind this position.
 */
export const COMMITTED_POSITION_SQL: string = `(case current_setting('synchronous_commit')
  when 'off' then ${INSERTED_POSITION_SQL} else ${FLUSHED_POSITION_SQL} end)`;

/** SQL: the same after a transaction of this session that may have had `synchronous_commit` off by `SET LOCAL`. */
export { INSERTED_POSITION_SQL };
