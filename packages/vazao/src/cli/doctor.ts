/** `vazao doctor [app]`: checks the database, and prints what mends each finding. */
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { type Configuration, readConfiguration } from '../runtime/configuration.ts';
import { diagnose, type Finding } from '../runtime/diagnosis/index.ts';
import { startEmbeddedPostgres } from '../runtime/embedded-postgres.ts';
import { RuntimeError } from '../runtime/errors.ts';
import { findRoot } from '../runtime/load-application.ts';
import { didYouMean } from '../runtime/nearest.ts';

export async function doctor(application: string | undefined, json: boolean): Promise<number> {
  // The doctor looks at production too, and needs no secret for it.
  const variables = { ...process.env, NODE_ENV: '' };
  const configuration = readConfiguration('development', variables, findRoot(process.cwd()));
  await using database = await openForDiagnosis(configuration, application);
  const findings = await diagnose({ url: database.url, databasePoolMax: configuration.databasePoolMax });
  process.stdout.write(json ? `${JSON.stringify({ findings }, null, 2)}\n` : formatFindings(database.name, findings));
  return findings.some(({ level }) => level === 'failure') ? 1 : 0;
}

interface DiagnosedDatabase extends AsyncDisposable {
  readonly url: string;
  readonly name: string;
}

/** The server of DATABASE_URL; else the embedded one: as it runs, or started for the time of the diagnosis. */
async function openForDiagnosis(
  configuration: Configuration,
  application: string | undefined,
): Promise<DiagnosedDatabase> {
  const { databaseUrl, dataFolder } = configuration;
  if (databaseUrl !== undefined) {
    const { hostname, port, pathname } = new URL(databaseUrl);
    const name = `${decodeURIComponent(pathname.slice(1))} at ${hostname}:${port || 5432}`;
    return { url: databaseUrl, name, async [Symbol.asyncDispose]() {} };
  }
  const name = chooseApplication(dataFolder, application);
  const server = await startEmbeddedPostgres({ folder: join(dataFolder, name) });
  return {
    url: server.url(name),
    name: `${name} (embedded, ${server.owned ? 'started for this' : 'running'})`,
    [Symbol.asyncDispose]: () => server.stop(),
  };
}

function chooseApplication(dataFolder: string, wanted: string | undefined): string {
  const known = existsSync(dataFolder)
    ? readdirSync(dataFolder).filter((name) => existsSync(join(dataFolder, name, 'data')))
    : [];
  const [only] = known;
  if (wanted === undefined && known.length === 1 && only !== undefined) return only;
  if (wanted !== undefined && known.includes(wanted)) return wanted;
  throw new RuntimeError('ERR_RUNTIME_DATABASE', sentenceFor(dataFolder, known, wanted));
}

function sentenceFor(dataFolder: string, known: readonly string[], wanted: string | undefined): string {
  if (wanted !== undefined && known.length > 0) {
    return `There is no database of ${wanted} in ${dataFolder}${didYouMean(wanted, known)}`;
  }
  return known.length > 1
    ? `Which application? \`vazao doctor <app>\`, with one of ${known.join(', ')}.`
    : `There is no database in ${dataFolder} yet. \`vazao dev <app>\` creates one, or set DATABASE_URL to one of your own.`;
}

const MARKS: Readonly<Record<Finding['level'], string>> = { ok: ' ok ', advice: 'note', failure: 'FAIL' };

function formatFindings(name: string, findings: readonly Finding[]): string {
  const lines = [`Database ${name}`, ''];
  for (const { check, level, detail, remedy } of findings) {
    lines.push(`  ${MARKS[level]}  ${check}: ${detail}`, ...remedy.map((line) => `          ${line}`));
  }
  const failures = findings.filter(({ level }) => level === 'failure').length;
  const notes = findings.filter(({ level }) => level === 'advice').length;
  lines.push('', failures === 0 ? `The feed can run here (${notes} notes).` : `${failures} to mend, ${notes} notes.`);
  return `${lines.join('\n')}\n`;
}
