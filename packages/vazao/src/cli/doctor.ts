/** `vazao doctor [app]`: checks the database, and prints what mends each finding. */

import { diagnose, type Finding } from '../runtime/diagnosis/index.ts';
import { findDatabase } from './find-database.ts';
import { readDevelopment } from './read-development.ts';

export async function doctor(application: string | undefined, json: boolean): Promise<number> {
  // The doctor looks at production too, and needs no secret for it.
  const configuration = readDevelopment();
  await using database = await findDatabase(configuration, application, 'vazao doctor');
  const findings = await diagnose({ ...configuration, url: database.url });
  process.stdout.write(json ? `${JSON.stringify({ findings }, null, 2)}\n` : formatFindings(database.name, findings));
  return findings.some(({ level }) => level === 'failure') ? 1 : 0;
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
