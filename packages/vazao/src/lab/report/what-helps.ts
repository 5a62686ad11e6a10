/**
 * What would make the slowest requests quicker, as far as the run has shown it. Each sentence names the measurement that it rests on, and
 * where to turn. That it does help, another run shows: `vazao lab compare --architecture …` with the one thing changed.
 */
import type { RunResult } from '../run-result.ts';
import { IN_DATABASE } from '../stages.ts';
import { mean } from '../statistics/quantile.ts';
import { showShare } from './numbers.ts';
import { type Band, ELSEWHERE, explainLatency, RECEIVING, UNSENT } from './why-slow.ts';

/** Of the time of the slowest: what takes less is not where to begin. */
const SHARE_MIN = 0.25;
/** Who waits for less does not wait. */
const SLOW_MS_MIN = 20;
/** Of the machine's cores: more is all that a server gets beside its neighbours. */
const CORES_BUSY_MIN = 0.85;
/** Of answers that a cache could have told of. */
const HITS_LOW = 0.5;

/** What to do about a stage that takes long, after "…: ". */
const REMEDIES: Readonly<Record<string, string>> = {
  pool: 'more connections (DATABASE_POOL), if the database has processors for them, and fewer or shorter statements',
  queue: 'more hits or more workers: the places of each class are as many as work at once (docs/limits.md)',
  feed: 'a feed that is not behind: `vazao doctor`, and `feed` in /health',
  handler: 'a profile of the handler, or more workers where cores are idle',
  hooks: 'a look at what hooks ask for before the handler, such as who is asking',
  serialise: 'smaller answers: pages, or fewer fields',
  compress: 'hits, which are compressed once, or smaller answers',
  [RECEIVING]: 'smaller answers: pages, or compression',
  [UNSENT]:
    'a server that answers sooner; or more connections of the generator (--connections), if its users have them',
};

/** The most telling first; empty where the server tells no stages and nothing else stands out. */
export function whatHelps(run: RunResult): string[] {
  const tellsStages = run.samples.some(({ stages }) => stages !== undefined);
  const slowest = tellsStages ? explainLatency(run.samples).at(-1) : undefined;
  const isBusy = coresBusy(run) >= CORES_BUSY_MIN;
  return [
    ...(isBusy
      ? [
          `${showShare(coresBusy(run))} of all cores are busy with the server: hits, more cores or more hosts (\`vazao lab plan\` says how many)`,
        ]
      : []),
    ...(slowest && slowest.meanMs >= SLOW_MS_MIN ? stagesOf(slowest, isBusy) : []),
    ...hitsOf(run),
  ];
}

function stagesOf({ shares, statements }: Band, isBusy: boolean): string[] {
  return shares.flatMap(({ name, share }) => {
    if (share < SHARE_MIN) return [];
    const takes = `${showShare(share)} of the time of the slowest is`;
    if (IN_DATABASE.includes(name)) {
      const most = statements[0] === undefined ? '' : `, most of it in ${statements[0].name}`;
      return [
        `${takes} in the database${most}: an index (EXPLAIN), or an answer that is kept (\`vazao explain\` says why it is not)`,
      ];
    }
    // Where all cores are busy it waits for one, which has been said.
    if (name === ELSEWHERE) {
      return isBusy
        ? []
        : [
            `${takes} in no stage: the network, or a busy event loop (vazao_event_loop_delay_seconds in /metrics), which wants more workers`,
          ];
    }
    const remedy = REMEDIES[name];
    return remedy === undefined ? [] : [`${takes} ${name}: ${remedy}`];
  });
}

function hitsOf({ total: { cacheHits, cacheMisses } }: RunResult): string[] {
  const told = cacheHits + cacheMisses;
  if (told === 0 || cacheHits / told >= HITS_LOW) return [];
  return [
    `${showShare(cacheHits / told)} of the answers are hits: \`vazao explain <app> <path>\` says why an answer is not kept`,
  ];
}

/** Share of the machine's cores; 0 where the server's processes were not looked at. */
function coresBusy({ server, machine }: RunResult): number {
  const used = server.map(({ cpuCores }) => cpuCores).filter((cores) => cores !== undefined);
  return used.length === 0 ? 0 : mean(used) / machine.cores;
}
