/** What the plugin is registered with. */
import type { Pool } from '../db/index.ts';
import type { AuditorOptions } from './auditor.ts';
import type { LiveOptions } from './live/options.ts';
import type { HttpCache } from './lookup.ts';
import type { Identify, PluginFeed } from './options.ts';
import type { RefreshOptions } from './refresh/index.ts';
import type { HttpSecondTier } from './second-tier.ts';
import type { TimingOptions } from './timing/index.ts';

export interface PluginOptions {
  readonly cache: HttpCache;
  readonly feed: PluginFeed;
  readonly db: Pool;
  /** Answers that other processes and hosts have computed: `createSecondTier` of `vazao/redis`. @defaultValue none */
  readonly secondTier?: HttpSecondTier | undefined;
  /** Makes the position tokens, which carry what a client has seen to other workers and hosts: the same on all of them. @defaultValue a random one */
  readonly secret?: string | undefined;
  /** Tells who is asking; gives requests their `user`. Of several, the first that knows the caller counts. */
  readonly identify?: Identify | readonly Identify[] | undefined;
  /** Computes a sample of the hits again and compares: see {@link AuditFigures}. `false`: none. */
  readonly audit?: Pick<AuditorOptions, 'oneIn' | 'shareMax'> | false | undefined;
  /** Hot answers are computed ahead of their next reader, while the database has room. `false`: none. */
  readonly refresh?: RefreshOptions | false | undefined;
  /** Clients may follow the answer of any cached GET as a stream of events. `false`: of none. */
  readonly live?: LiveOptions | false | undefined;
  /** Serves `GET /.vazao/explain?url=…` to callers on this machine: for development. @defaultValue false */
  readonly explain?: boolean | undefined;
  /** Shows where the time of a request goes, to those who may see it. @defaultValue to nobody */
  readonly timing?: TimingOptions | undefined;
  /** Larger answers are served and not kept. @defaultValue 1 MiB */
  readonly bodyMaxBytes?: number | undefined;
  /** After this time a computation is no longer cared for, and those who wait for it compute for themselves. @defaultValue 30 s */
  readonly fillMaxMs?: number | undefined;
  /**
   * How long the response to a write waits until this process's feed has passed it, or is not fresh any more. With less than the
   * feed's lease it may leave before either, and the next read show something older. @defaultValue {@link ANSWER_WAIT_MAX_MS}
   */
  readonly writeWaitMaxMs?: number | undefined;
  /**
   * How long an answer waits that shows what the feed has not told yet: until it has, or is not fresh any more. With less than the
   * feed's lease it may leave before either, and the next answer be older. @defaultValue {@link ANSWER_WAIT_MAX_MS}
   */
  readonly answerWaitMaxMs?: number | undefined;
  /** How long a read that carries a position waits for the feed, before it is computed past the cache. @defaultValue 100 ms */
  readonly readWaitMaxMs?: number | undefined;
}

/** Longer than the lease of a feed: whoever waits sees the feed move on, or not be fresh any more. */
export const ANSWER_WAIT_MAX_MS = 2_000;
