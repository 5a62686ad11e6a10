/** Names of stages that the engine writes and the reports read. */

/** All statements of a request, which Vazão tells as `q1`, `q2` …. */
export const QUERIES = 'queries';

/** Time in the database: Vazão's statements, and what other servers call it. It is a part of the handler's. */
export const IN_DATABASE: readonly string[] = [QUERIES, 'db'];
