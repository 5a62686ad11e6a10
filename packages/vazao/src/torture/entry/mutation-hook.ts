/**
 * Loaded before everything else (`--import`) by the servers that torture starts to break a rule on purpose: changes one text
 * of one source file while it is loaded. The product's code has no switches for this.
 */
import { registerHooks } from 'node:module';
import { extname } from 'node:path';
import { MUTATION_VARIABLE } from '../mutation-environment.ts';
import { MUTATIONS } from '../mutations.ts';

const name = process.env[MUTATION_VARIABLE];
const mutation = MUTATIONS.find((candidate) => candidate.name === name);
if (!mutation) throw new Error(`There is no mutation ${name}.`);
const target = new URL(`../../${mutation.file}${extname(import.meta.url)}`, import.meta.url).href;

registerHooks({
  load(url, context, nextLoad) {
    const loaded = nextLoad(url, context);
    if (url !== target) return loaded;
    const text = String(loaded.source instanceof Uint8Array ? Buffer.from(loaded.source) : loaded.source);
    // Without it the rule would stand, and the run would say that breaking it goes unnoticed.
    if (text.split(mutation.find).length !== 2) throw new Error(`${mutation.name}: its text is not once in ${url}.`);
    return { ...loaded, source: text.replace(mutation.find, () => mutation.replace) };
  },
});
