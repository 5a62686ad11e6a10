/** `npm run soak:readset`: the oracle of the read sets, for as long as wanted, on drawn schemas or on anybody's own. */
import { type ChildProcess, fork } from 'node:child_process';
import { CorpusError } from '../packages/vazao/src/readset/oracle/corpus.fuzz.ts';
import {
  addTally,
  createTally,
  describeClasses,
  describeTally,
} from '../packages/vazao/src/readset/oracle/tally.fuzz.ts';
import { startTestServer } from '../packages/vazao/src/testing/server.ts';
import { HELP, parseArguments, type SoakArguments } from './soak-readset/arguments.ts';
import { type Job, type Report, work } from './soak-readset/worker.ts';

const PROGRESS_EVERY_MS = 10_000;

if (process.send) await runWorker();
else process.exitCode = await runMain(process.argv.slice(2));

async function runMain(words: readonly string[]): Promise<number> {
  try {
    const parsed = parseArguments(words);
    if (parsed) return await soak(parsed);
    process.stdout.write(HELP);
    return 0;
  } catch (error) {
    if (!(error instanceof CorpusError)) throw error;
    process.stderr.write(`soak:readset: ${error.message}\n`);
    return 1;
  }
}

async function soak(options: SoakArguments): Promise<number> {
  const server = await startTestServer({ fsync: 'off', synchronous_commit: 'off', shared_buffers: '64MB' });
  const total = createTally();
  const misses: string[] = [];
  let wrong: string | undefined;
  let last = options.from;
  const startedAt = performance.now();
  const elapsedMs = (): number => performance.now() - startedAt;
  console.log(`seed ${options.seed}, ${options.workers} processes, up to ${options.minutes} min`);

  const workers: ChildProcess[] = [];
  const stop = (): void => {
    // One that has just ended can't be told, and needn't.
    for (const worker of workers) if (worker.connected) worker.send('stop', () => {});
  };
  const onReport = (report: Report): void => {
    switch (report.kind) {
      case 'tally':
        addTally(total, report.tally);
        last = Math.max(last, report.next);
        if (total.cases >= options.cases) stop();
        break;
      case 'precision':
        console.log(`changes of other keys (single rows):\n${describeClasses(report.tally).join('\n')}`);
        break;
      case 'miss':
        misses.push(report.shrunken);
        console.log(`MISS\n${report.shrunken}`);
        stop();
        break;
      case 'wrong':
        wrong = report.sentence;
        stop();
        break;
      case 'loaded':
        printLoaded(report, options.verbose);
    }
  };
  const timer = setTimeout(stop, options.minutes * 60_000);
  const progress = setInterval(() => {
    console.log(
      `${(elapsedMs() / 60_000).toFixed(1)} min: ${total.cases} cases, ${total.misses} misses, up to group ${last}`,
    );
  }, PROGRESS_EVERY_MS);
  process.once('SIGINT', stop);
  try {
    const codes = await Promise.all(
      Array.from({ length: options.workers }, (_, worker) =>
        startWorker({ serverUrl: server.url, worker, arguments: options }, workers, onReport),
      ),
    );
    const failed = codes.find((code) => code !== 0);
    if (wrong !== undefined) throw new CorpusError(wrong);
    for (const line of describeTally(total, elapsedMs())) console.log(line);
    console.log(`seed ${options.seed}, groups ${options.from} to ${last - 1}`);
    if (failed !== undefined) console.log(`a process ended with code ${failed}; its message is above`);
    return misses.length > 0 || failed !== undefined ? 1 : 0;
  } finally {
    clearTimeout(timer);
    clearInterval(progress);
    process.removeListener('SIGINT', stop);
    await server.stop();
  }
}

function printLoaded(report: Extract<Report, { kind: 'loaded' }>, verbose: boolean): void {
  const codes = Object.entries(Object.groupBy(report.refused, ({ code }) => code));
  console.log(
    `statements rejected by PostgreSQL: ${report.rejected.length}; refused: ${codes.map(([code, list]) => `${code} ${list?.length}`).join(', ') || 'none'}`,
  );
  if (!verbose) return;
  const shorten = (sql: string): string => sql.replaceAll(/\s+/g, ' ').slice(0, 100);
  for (const { sql, message } of report.rejected) console.log(`  rejected: ${shorten(sql)}\n    ${message}`);
  for (const { sql, code, detail } of report.refused) console.log(`  ${code}: ${shorten(sql)}\n    ${detail}`);
}

/** Resolves with the exit code. */
function startWorker(job: Job, workers: ChildProcess[], onReport: (report: Report) => void): Promise<number> {
  const worker = fork(import.meta.filename, [], { serialization: 'advanced' });
  workers.push(worker);
  worker.on('error', (error) => console.error(`soak:readset: ${error.message}`));
  worker.on('message', (report) => onReport(report as Report));
  worker.send(job);
  return new Promise((resolve) => worker.once('close', (code) => resolve(code ?? 1)));
}

async function runWorker(): Promise<void> {
  let isOver = false;
  process.on('SIGINT', () => {}); // the main process says when to stop
  process.once('disconnect', () => process.exit(1));
  const job = await new Promise<Job>((resolve) => {
    process.on('message', (message) => {
      if (message === 'stop') isOver = true;
      else resolve(message as Job);
    });
  });
  await work(
    job,
    (report) => process.send?.(report),
    () => isOver,
  );
  // What was reported is delivered first. Connections that an error left open must not keep the process.
  process.removeAllListeners('disconnect');
  process.once('disconnect', () => process.exit(0));
  process.disconnect?.();
}
