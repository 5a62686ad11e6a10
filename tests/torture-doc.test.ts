/** `docs/torture.md`: its example is a profile that runs, its table names every fault, and its figures are those of the code. */
import assert from 'node:assert/strict';
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { pathToFileURL } from 'node:url';
import { LEASE_MS_DEFAULT } from '../packages/vazao/src/feed/options.ts';
import { EXCUSE_AFTER_MS, EXCUSE_STARTING_MS } from '../packages/vazao/src/torture/excuses.ts';
import { FAULT_KINDS } from '../packages/vazao/src/torture/fault-kinds.ts';
import { judgeGoals } from '../packages/vazao/src/torture/goals.ts';
import { MUTATION_SECONDS } from '../packages/vazao/src/torture/mutation-run.ts';
import type { Profile } from '../packages/vazao/src/torture/profile.ts';
import { assertProfile, CLIENTS } from '../packages/vazao/src/torture/torture.ts';

const text = readFileSync(join(import.meta.dirname, '../docs/torture.md'), 'utf8');

test('every fault has its line', () => {
  const section = text.slice(text.indexOf('## Faults'), text.indexOf('## A profile'));
  const documented = [...section.matchAll(/`([a-z]+(?:-[a-z]+)*)`/g)].map(([, name]) => name);
  const names = FAULT_KINDS.map(({ name }) => name);
  assert.deepEqual([...new Set(documented)].sort(), [...names].sort());
});

test('the figures are those of the code', () => {
  // However the lines are broken.
  const prose = text.replaceAll(/\s+/g, ' ');
  for (const [sentence, figure] of [
    [/while the primary is cut off, stalled or fails over, and (\S+) s longer,/, EXCUSE_AFTER_MS / 1_000],
    [/(\S+) s longer where the database was away while that host started processes/, EXCUSE_STARTING_MS / 1_000],
    [/it began more than the lease \((\S+) s\) after a write was acknowledged/, LEASE_MS_DEFAULT / 1_000],
    [/\*\*Readers\*\*, (\S+) clients/, CLIENTS],
    [/each must be noticed within (\S+) s\./, MUTATION_SECONDS],
  ] as const) {
    assert.equal(sentence.exec(prose)?.[1], String(figure), String(sentence));
  }
  const [, reads, faults, stalenessMs] =
    /met the goals: (\S+) reads, (\S+) faults of each kind, and staleness without faults of at most (\S+) ms/.exec(
      prose,
    ) ?? [];
  const nothing = { reads: 0, p50: 0, p90: 0, p99: 0, p999: 0, max: 0 };
  const goals = judgeGoals(
    { reads: 0, faults: [], stalenessMs: { withoutFaults: nothing, duringFaults: nothing } },
    [],
  );
  assert.deepEqual(
    goals.map(({ wanted }) => wanted),
    [`at least ${reads}`, `at least ${faults}`, `at most ${stalenessMs} ms`],
  );
});

test('the example is a profile that says what it claims', async () => {
  const [, code = ''] = /```ts\n([\s\S]*?)```/.exec(text) ?? [];
  // Inside the workspace, where `vazao/torture` is found.
  const folder = join(import.meta.dirname, `.torture-doc-${process.pid}`);
  mkdirSync(folder);
  try {
    const file = join(folder, 'torture.ts');
    writeFileSync(file, code);
    const profile: Profile = (await import(pathToFileURL(file).href)).default;
    assertProfile(profile);
    const [reader] = profile.readers;
    const body = JSON.stringify({ title: 'v3', text: 'v3', likes: 7 });
    assert.deepEqual(reader?.read(body).versions, [
      ['article', 3],
      ['article', 3],
      ['likes', 7],
    ]);
    for (const writer of profile.writers) {
      const versions = { article: 3, likes: 7 };
      if (writer.kind === 'request') assert.deepEqual(writer.request(versions).body, { title: 'v3', text: 'v3' });
      else if (writer.kind === 'sql') assert.equal(writer.statements(versions).length, 2);
      else assert.match(writer.script(versions), /\n1\t7\n\\\.\n$/);
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});
