import { type Configuration, readConfiguration } from '../runtime/configuration.ts';
import { readEnvironment } from '../runtime/environment.ts';
import { findRoot } from '../runtime/load-application.ts';

/** Of a command that only looks: it looks at production, too, and needs no secret for it. */
export function readDevelopment(): Configuration {
  const root = findRoot(process.cwd());
  const { values } = readEnvironment(root, process.env);
  return readConfiguration('development', { ...values, NODE_ENV: '' }, root);
}
