import { type Configuration, countWorkers, readConfiguration } from '../runtime/configuration.ts';
import { readEnvironment } from '../runtime/environment.ts';
import { findRoot } from '../runtime/load-application.ts';

/** Of a command that only looks: it looks at production, too, with the workers that it has, and needs no secret for it. */
export function readDevelopment(): Configuration {
  const root = findRoot(process.cwd());
  const { values } = readEnvironment(root, process.env);
  const configuration = readConfiguration('development', { ...values, NODE_ENV: '', WORKERS: '' }, root);
  return { ...configuration, workers: countWorkers(values) };
}
