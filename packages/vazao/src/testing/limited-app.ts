/** Applications with limits, for tests: alone, and with the vazao plugin and a database. */
import Fastify, { type FastifyInstance } from 'fastify';
import { type LimitsOptions, limitsPlugin } from '../http/index.ts';
import { createSetting, type Setting } from './cached-app.ts';

/** Handlers that stand at a gate until the test opens it. */
export class Gate {
  #waiting: (() => void)[] = [];
  entered = 0;
  isOpen = false;

  async pass(): Promise<void> {
    this.entered++;
    if (!this.isOpen) await new Promise<void>((resolve) => this.#waiting.push(resolve));
  }

  one(): void {
    this.#waiting.shift()?.();
  }

  open(): void {
    this.isOpen = true;
    for (const go of this.#waiting.splice(0)) go();
  }
}

export async function alone(
  options: LimitsOptions,
  register: (app: FastifyInstance) => void,
): Promise<AsyncDisposable & { origin: string; app: FastifyInstance }> {
  const app = Fastify({ forceCloseConnections: true }); // a test that fails leaves handlers at their gate
  await app.register(limitsPlugin, options);
  register(app);
  const origin = await app.listen({ host: '127.0.0.1', port: 0 });
  return { origin, app, [Symbol.asyncDispose]: () => app.close() };
}

export async function withCache(
  options: LimitsOptions,
  register: (setting: Setting) => void,
): Promise<Setting & { origin: string }> {
  const setting = await createSetting({ fastify: { forceCloseConnections: true } });
  await setting.app.register(limitsPlugin, options);
  register(setting);
  const origin = await setting.platform.listen();
  return { ...setting, origin };
}
