/** `vazao config`: what is in force, and where it is from. */
import { formatSize, readConfiguration } from '../runtime/configuration.ts';
import { readEnvironment } from '../runtime/environment.ts';
import { findRoot } from '../runtime/load-application.ts';
import { processesOf } from '../runtime/memory.ts';
import { listSettings, type Setting } from '../runtime/settings.ts';

/** Of `vazao start` where NODE_ENV is `production`, or it is asked for; else of `vazao dev`. */
export function config(options: { readonly production: boolean; readonly json: boolean }): number {
  const root = findRoot(process.cwd());
  const given = readEnvironment(root, process.env);
  const environment =
    options.production || given.values.NODE_ENV?.trim() === 'production' ? 'production' : 'development';
  const configuration = readConfiguration(environment, given.values, root);
  const settings = listSettings(configuration, given);
  const { memory, workers } = configuration;
  if (options.json) {
    process.stdout.write(`${JSON.stringify({ environment, settings, memory }, null, 2)}\n`);
    return 0;
  }
  const command = environment === 'production' ? 'start' : 'dev';
  const lines = [`Configuration of \`vazao ${command}\``, '', ...formatSettings(settings)];
  if (memory) {
    const each = workers > 1 ? `each of ${workers} workers` : workers === 1 ? 'the worker' : 'the process';
    lines.push(
      '',
      `  Memory: ${each} has ${formatSize(memory.shareBytes)}: ${formatSize(memory.heapBytes)} for JavaScript, ${formatSize(memory.cacheBytes / processesOf(workers))} for its cache.`,
    );
  }
  process.stdout.write(`${lines.join('\n')}\n`);
  return 0;
}

function formatSettings(settings: readonly Setting[]): string[] {
  const width = (pick: (setting: Setting) => string): number => Math.max(...settings.map((one) => pick(one).length));
  const value = (setting: Setting): string => setting.value ?? '–';
  const names = width(({ name }) => name);
  const values = Math.min(60, width(value));
  return settings.map((one) => `  ${one.name.padEnd(names)}  ${value(one).padEnd(values)}  ${one.source}`);
}
