/** One process of the soak run: it reports its counts every now and then, and the first miss. */
import pg from 'pg';
import { loadParser } from '../../packages/vazao/src/readset/index.ts';
import {
  type Corpus,
  CorpusError,
  loadCorpus,
  runCorpusBatch,
} from '../../packages/vazao/src/readset/oracle/corpus.fuzz.ts';
import { runGroup } from '../../packages/vazao/src/readset/oracle/generated.fuzz.ts';
import { measurePrecision } from '../../packages/vazao/src/readset/oracle/precision.fuzz.ts';
import { shrinkMiss } from '../../packages/vazao/src/readset/oracle/shrink.fuzz.ts';
import { shrinkCorpusMiss } from '../../packages/vazao/src/readset/oracle/shrink-corpus.fuzz.ts';
import { createTally, type Tally } from '../../packages/vazao/src/readset/oracle/tally.fuzz.ts';
import type { SoakArguments } from './arguments.ts';

export interface Job {
  readonly serverUrl: string;
  readonly worker: number;
  readonly arguments: SoakArguments;
}

export type Report =
  | { readonly kind: 'tally'; readonly tally: Tally; readonly next: number }
  | { readonly kind: 'precision'; readonly tally: Tally }
  | { readonly kind: 'miss'; readonly shrunken: string }
  | { readonly kind: 'loaded'; readonly refused: Corpus['refused']; readonly rejected: Corpus['rejected'] }
  | { readonly kind: 'wrong'; readonly sentence: string };

/** Connections at work at a time: while PostgreSQL plans for one, the other's answer is read. */
const LANES = 2;
const REPORT_EVERY_MS = 1_000;
const PRECISION_CASES = 1_000;
/** Each group drops what the one before made: the catalogs of a database swell, and after 300 groups it is a third as fast. */
const GROUPS_PER_DATABASE = 40;

export async function work(job: Job, report: (report: Report) => void, isOver: () => boolean): Promise<void> {
  await loadParser();
  try {
    if (job.arguments.files) await workOnCorpus(job, report, isOver);
    else {
      if (job.worker === 0) {
        const client = await createDatabase(job, 'precision');
        report({ kind: 'precision', tally: await measurePrecision(client, job.arguments.seed, PRECISION_CASES) });
        await client.end();
      }
      await Promise.all(Array.from({ length: LANES }, (_, lane) => workOnDrawn(job, lane, report, isOver)));
    }
  } catch (error) {
    if (!(error instanceof CorpusError)) throw error;
    report({ kind: 'wrong', sentence: error.message });
  }
}

async function workOnDrawn(
  job: Job,
  lane: number,
  report: (report: Report) => void,
  isOver: () => boolean,
): Promise<void> {
  const { seed, from, workers } = job.arguments;
  const label = `lane${lane}`;
  let client = await createDatabase(job, label);
  let groups = 0;
  for (let group = from + job.worker * LANES + lane; !isOver(); group += workers * LANES) {
    if (groups === GROUPS_PER_DATABASE) {
      await client.end();
      client = await createDatabase(job, label);
      groups = 0;
    }
    groups++;
    const tally = createTally();
    const miss = await runGroup(client, seed, group, tally, isOver);
    report({ kind: 'tally', tally, next: group + 1 });
    if (miss) {
      report({ kind: 'miss', shrunken: `-- seed ${seed}, group ${group}\n${await shrinkMiss(client, miss)}` });
      break;
    }
  }
  await client.end();
}

async function workOnCorpus(job: Job, report: (report: Report) => void, isOver: () => boolean): Promise<void> {
  const { files, seed, workers } = job.arguments;
  if (!files) return;
  const client = await createDatabase(job, 'corpus');
  const corpus = await loadCorpus(client, files);
  if (job.worker === 0) report({ kind: 'loaded', refused: corpus.refused, rejected: corpus.rejected });
  let tally = createTally();
  let reportedAt = performance.now();
  for (let batch = job.worker; corpus.statements.length > 0 && !isOver(); batch += workers) {
    const miss = await runCorpusBatch(corpus, seed, batch, tally);
    if (performance.now() - reportedAt > REPORT_EVERY_MS || miss) {
      report({ kind: 'tally', tally, next: batch + 1 });
      tally = createTally();
      reportedAt = performance.now();
    }
    if (miss) {
      const shrunken = await shrinkCorpusMiss(corpus, miss, files.schema.name);
      report({ kind: 'miss', shrunken: `-- seed ${seed}, batch ${batch}\n${shrunken}` });
      break;
    }
  }
  report({ kind: 'tally', tally, next: 0 });
  await client.end();
}

/** A new one, in the place of one of that name. Its last session may not have ended yet. */
async function createDatabase(job: Job, label: string): Promise<pg.Client> {
  const name = `soak_${job.worker}_${label}`;
  const admin = new pg.Client(job.serverUrl);
  await admin.connect();
  await admin.query(`drop database if exists ${name} with (force)`);
  await admin.query(`create database ${name}`);
  await admin.end();
  const url = new URL(job.serverUrl);
  url.pathname = `/${name}`;
  const client = new pg.Client(url.href);
  client.on('error', () => {}); // the server is stopped under it when the run is interrupted
  await client.connect();
  return client;
}
