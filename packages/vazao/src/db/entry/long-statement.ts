/** Entry of the thread that `long-statements.ts` starts: reads one statement, tells what it found, and ends. */
import { parentPort, workerData } from 'node:worker_threads';
import { loadParser, readAtLeisure } from '../../readset/index.ts';
import type { LongStatement } from '../long-statements.ts';

const { text, searchPath, catalog, declaredFunctions } = workerData as LongStatement;
await loadParser();
parentPort?.postMessage(readAtLeisure(text, searchPath, catalog, declaredFunctions));
