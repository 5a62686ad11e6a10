/** A thread of the generator. */
import { parentPort, workerData } from 'node:worker_threads';
import { serveGenerator } from '../engine/generator.ts';
import type { FromGenerator, GeneratorData, ToGenerator } from '../engine/messages.ts';
import { LabError } from '../errors.ts';

const port = parentPort;
if (port) {
  const send = (message: FromGenerator): void => port.postMessage(message);
  try {
    const receive = await serveGenerator(workerData as GeneratorData, send);
    port.on('message', (message: ToGenerator) => receive(message));
  } catch (error) {
    const code = error instanceof LabError ? error.code : undefined;
    send({ kind: 'failed', code, message: (error as Error)?.message ?? String(error) });
  }
}
