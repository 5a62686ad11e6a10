/** The address of a server, in a thread of its own: the observer's thread must not delay what it observes. */
import { extname } from 'node:path';
import { Worker } from 'node:worker_threads';

export type ProxyVerb = 'cut' | 'drop' | 'pause' | 'resume';
export type ProxyMessage =
  | { readonly verb: ProxyVerb }
  | { readonly verb: 'delay'; readonly delayMs: number }
  | { readonly verb: 'pointTo'; readonly targetUrl: string };

export interface ThreadedProxy extends AsyncDisposable {
  readonly port: number;
  /** As the methods of `TcpProxy`, for all connections. In force when it resolves. */
  tell(verb: ProxyVerb): Promise<void>;
  /** Everything takes so much longer, in each direction, until `resume`. */
  delay(delayMs: number): Promise<void>;
  /** New connections go to the host and port of this connection string. */
  pointTo(targetUrl: string): Promise<void>;
}

export async function startThreadedProxy(targetUrl: string): Promise<ThreadedProxy> {
  const entry = new URL(`./entry/proxy${extname(import.meta.url)}`, import.meta.url);
  const worker = new Worker(entry, { workerData: { targetUrl }, execArgv: [] });
  const port = await nextMessage(worker);
  let last: Promise<unknown> = Promise.resolve();
  // One after the other, so that each answer belongs to the message before it.
  const send = (message: ProxyMessage): Promise<void> => {
    const told = last.then(async () => {
      worker.postMessage(message);
      await nextMessage(worker);
    });
    last = told.catch(() => {});
    return told;
  };
  return {
    port,
    tell: (verb) => send({ verb }),
    delay: (delayMs) => send({ verb: 'delay', delayMs }),
    pointTo: (url) => send({ verb: 'pointTo', targetUrl: url }),
    async [Symbol.asyncDispose]() {
      await worker.terminate();
    },
  };
}

function nextMessage(worker: Worker): Promise<number> {
  return new Promise((resolve, reject) => {
    const onError = (error: Error): void => {
      worker.off('message', onMessage);
      reject(error);
    };
    const onMessage = (message: number): void => {
      worker.off('error', onError);
      resolve(message);
    };
    worker.once('error', onError);
    worker.once('message', onMessage);
  });
}
