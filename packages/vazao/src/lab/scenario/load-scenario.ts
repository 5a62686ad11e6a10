import { LabError } from '../errors.ts';
import type { Scenario } from './scenario.ts';

/** The default export of a module. Throws {@link LabError}. @param url - `file:` URL of the module */
export async function loadScenario(url: string): Promise<Scenario> {
  const module: { readonly default?: Partial<Scenario> } = await import(url);
  const found = module.default;
  if (typeof found?.name !== 'string' || !Array.isArray(found.steps) || found.steps.length === 0) {
    throw new LabError(
      'ERR_LAB_SCENARIO',
      `${url} has no scenario as its default export: \`export default scenario({ name, steps: [ … ] })\`. docs/lab.md shows how to write one.`,
    );
  }
  return found as Scenario;
}
