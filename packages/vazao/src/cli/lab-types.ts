/** `vazao lab types`: the types of an application's requests, from its OpenAPI document. */
import { readFile, writeFile } from 'node:fs/promises';
import { parseArgs } from 'node:util';
import { LabError } from '../lab/errors.ts';
import { writeRouteTypes } from '../lab/scenario/openapi-types.ts';
import { UsageError } from './usage-error.ts';

const USAGE = 'vazao lab types <file|url> [--out routes.ts]';
const TIMEOUT_MS = 10_000;
const BYTES_MAX = 20_000_000;

/** Resolves with the exit code. @param words - after `vazao lab types` */
export async function writeLabTypes(words: readonly string[]): Promise<number> {
  const { source, out } = parse(words);
  const types = writeRouteTypes(parseJson(await read(source), source));
  if (out === undefined) process.stdout.write(types);
  else await writeFile(out, types);
  return 0;
}

function parse(words: readonly string[]): { readonly source: string; readonly out: string | undefined } {
  try {
    const { values, positionals } = parseArgs({
      args: [...words],
      options: { out: { type: 'string' } },
      allowPositionals: true,
    });
    const [source, ...surplus] = positionals;
    if (source !== undefined && surplus.length === 0) return { source, out: values.out };
  } catch (error) {
    throw new UsageError(`${(error as Error).message}. Usage: ${USAGE}`);
  }
  throw new UsageError(`One document is needed. Usage: ${USAGE}`);
}

async function read(source: string): Promise<string> {
  if (!/^https?:\/\//.test(source)) return readFile(source, 'utf8');
  const answer = await fetch(source, { signal: AbortSignal.timeout(TIMEOUT_MS) }).catch((cause) => {
    throw new LabError('ERR_LAB_OPTION', `${source} does not answer. Start the application, or give a file.`, {
      cause,
    });
  });
  const text = await answer.text();
  if (answer.ok && text.length <= BYTES_MAX) return text;
  throw new LabError('ERR_LAB_OPTION', `${source} answers with ${answer.status} and ${text.length} characters.`);
}

function parseJson(text: string, source: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new LabError('ERR_LAB_OPTION', `${source} is no JSON; an OpenAPI document in YAML has to be converted.`, {
      cause,
    });
  }
}
