/** Servers with known behaviour for the lab's tests, and scenarios for them in temporary files. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export interface LabServer extends AsyncDisposable {
  readonly origin: string;
  /** Requests that are no look at the health. */
  readonly requests: number;
}

export async function startLabServer(
  answer: (request: IncomingMessage, response: ServerResponse) => void,
): Promise<LabServer> {
  let requests = 0;
  const server = createServer((request, response) => {
    if (request.url === '/health') {
      response.writeHead(404).end();
      return;
    }
    requests += 1;
    answer(request, response);
  });
  server.keepAliveTimeout = 60_000;
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', 4_096, resolve));
  return {
    origin: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    get requests() {
      return requests;
    },
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

/** Writes a module; removed with the object. */
export function writeScenario(code: string): Disposable & { readonly path: string } {
  const folder = mkdtempSync(join(tmpdir(), 'vazao-lab-test-'));
  const path = join(folder, 'scenario.ts');
  writeFileSync(path, code);
  return { path, [Symbol.dispose]: () => rmSync(folder, { recursive: true, force: true }) };
}
