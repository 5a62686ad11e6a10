/**
 * Writes a heartbeat, with the snapshot of this statement in it, and has it flushed: the walsender reads only what has
 * been flushed, and an unflushed message would wait for the WAL writer (200 ms).
 *
 * PostgreSQL 17 can flush a message that belongs to no transaction. Before, the message has to be a transaction, which
 * costs a transaction id for each heartbeat (four in a second: 126 million in a year, without vacuum's being in a hurry).
 */
export function emitHeartbeatSql(serverVersion: number): string {
  return serverVersion >= 170_000
    ? 'select pg_catalog.pg_logical_emit_message(false, $1::text, $2::text || pg_catalog.pg_current_snapshot()::text, true)'
    : 'select pg_catalog.pg_logical_emit_message(true, $1::text, $2::text || pg_catalog.pg_current_snapshot()::text)';
}
