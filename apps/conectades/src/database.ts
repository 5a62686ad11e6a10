import type { Application, ApplicationContext } from 'vazao';

/** What this application uses of the platform's pool. */
export type Database = Pick<ApplicationContext['db'], 'query' | 'connect'>;

/** A connection in a transaction. */
export type Client = Parameters<NonNullable<Application['seed']>>[0];
