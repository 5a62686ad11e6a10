import type { FastifyInstance } from 'fastify';
import type pg from 'pg';
import type { PoolOptions } from '../db/index.ts';
import type { LimitsOptions } from '../http/index.ts';
import type { LiveOptions } from '../http/live/index.ts';
import type { Identify } from '../http/options.ts';
import type { RefreshOptions } from '../http/refresh/index.ts';
import type { SecurityOptions } from '../http/security/index.ts';
import type { SessionSettings } from './sessions.ts';

/** What the platform hands to an application. */
export interface ApplicationContext {
  /** Compatible with `pg.Pool`: use it plainly, or give it to Kysely or Drizzle. */
  readonly db: pg.Pool;
  readonly environment: 'development' | 'production';
  /** At least 32 random bytes, the same on every worker: for signing tokens and cookies. */
  readonly secret: string;
}

/** Tells how far a long step is. `fraction` is from 0 to 1. */
export type Progress = (fraction: number, label: string) => void;

/** An application that `vazao dev` and `vazao start` can run. It is the default export of its module. */
export interface Application {
  readonly name: string;
  /** Folder with the SQL migrations (`*.sql`), applied in the order of their names. */
  readonly migrations: URL;
  /** Fills a freshly migrated, empty database. Runs once, in one transaction. */
  readonly seed?: ((client: pg.ClientBase, progress: Progress) => Promise<void>) | undefined;
  /** Tells who is asking; see {@link Identify}. */
  readonly identify?: ((context: ApplicationContext) => Identify) | undefined;
  /** What functions of the database depend on, where PostgreSQL doesn't show it; see {@link PoolOptions.declaredFunctions}. */
  readonly declaredFunctions?: PoolOptions['declaredFunctions'];
  /**
   * Security headers, and protection against requests of other sites; see {@link SecurityOptions}. `false`: neither, and
   * `@fastify/helmet` need not be installed.
   * @defaultValue both, with strict settings
   */
  readonly security?:
    | (Omit<SecurityOptions, 'tellErrors' | 'sessions'> & {
        /** Sessions by cookie, in the database or the Redis of `VAZAO_STATE_REDIS_URL`. @defaultValue none */
        readonly sessions?: SessionSettings | undefined;
      })
    | false
    | undefined;
  /**
   * What speaks against serving in production, each a sentence that says what to do: a password that everybody knows, a
   * secret that is missing. Asked once for each start, after the migrations; the start is refused if there is any.
   */
  readonly refuses?: ((client: pg.ClientBase) => Promise<readonly string[]>) | undefined;
  /**
   * What clients may take, beside what the environment says: rates, room for single classes, the page of a refusal. `false`:
   * nothing is limited. @defaultValue room that follows from the pool, and a limit on log-ins
   */
  readonly limits?: Omit<LimitsOptions, 'store'> | false | undefined;
  /**
   * How answers are followed as streams of events; see {@link LiveOptions}. Numbers are those of one worker, and what the
   * environment says of streams wins. `false`: none are. @defaultValue as the options say
   */
  readonly live?: LiveOptions | false | undefined;
  /** How hot answers are computed ahead of their next reader; see {@link RefreshOptions}. `false`: none are. */
  readonly refresh?: RefreshOptions | false | undefined;
  /** Registers routes, hooks and plugins. */
  readonly register: (app: FastifyInstance, context: ApplicationContext) => Promise<void> | void;
  /** Paths worth trying first; printed with `curl` after the start. */
  readonly firstPaths?: readonly string[] | undefined;
}

/** Types an application; returns it as it is. */
export function defineApplication(application: Application): Application {
  return application;
}
