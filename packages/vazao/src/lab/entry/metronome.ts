/** The thread that wakes the others. */
import { workerData } from 'node:worker_threads';
import { runMetronome } from '../engine/metronome.ts';

runMetronome(workerData as SharedArrayBuffer);
