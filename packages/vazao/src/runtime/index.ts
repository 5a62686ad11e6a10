/** From a module that exports an application to a process that serves it. */
export { type Application, type ApplicationContext, defineApplication, type Progress } from './application.ts';
export { type Configuration, type Environment, readConfiguration } from './configuration.ts';
export { type EmbeddedPostgres, type EmbeddedPostgresOptions, startEmbeddedPostgres } from './embedded-postgres.ts';
export { RuntimeError, type RuntimeErrorCode } from './errors.ts';
export type { StartOptions } from './host.ts';
export { findRoot, loadApplication } from './load-application.ts';
export { type RunningServer, startServer } from './server.ts';
export { type SupervisorOptions, startSupervisor } from './supervisor.ts';
