/** Entry of the thread that {@link startThreadedProxy} starts. */
import { parentPort, workerData } from 'node:worker_threads';
import { startTcpProxy } from '../parts/tcp-proxy.ts';
import type { ProxyMessage } from '../threaded-proxy.ts';

const proxy = await startTcpProxy((workerData as { targetUrl: string }).targetUrl);
parentPort?.on('message', (message: ProxyMessage) => {
  if (message.verb === 'pointTo') proxy.pointTo(message.targetUrl);
  else if (message.verb === 'delay') proxy.delay(message.delayMs);
  else proxy[message.verb]();
  parentPort?.postMessage(proxy.port);
});
parentPort?.postMessage(proxy.port);
