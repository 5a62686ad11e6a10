import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { readExposition } from '../testing/exposition.ts';
import { writeExposition } from './exposition.ts';

test('what stands in the specification is escaped as it says', () => {
  const text = writeExposition([
    {
      name: 'a_total',
      type: 'counter',
      help: 'One \\ and\nanother "line".',
      samples: [
        { labels: { path: 'C:\\DIR\\FILE.TXT', error: 'Cannot find file:\n"FILE.TXT"' }, value: 1.5 },
        { labels: {}, value: Number.POSITIVE_INFINITY },
      ],
    },
    { name: 'b', type: 'gauge', help: 'Nothing of it.', samples: [] },
  ]);
  assert.equal(
    text,
    `# HELP a_total One \\\\ and\\nanother "line".
# TYPE a_total counter
a_total{path="C:\\\\DIR\\\\FILE.TXT",error="Cannot find file:\\n\\"FILE.TXT\\""} 1.5
a_total +Inf
`,
  );
});

test('whatever is written is read as it was', () => {
  const text = fc.string({ unit: fc.constantFrom('\\', '"', '\n', 'n', '{', '}', ',', '=', ' ', '#', 'ã') });
  const value = fc.double({ noNaN: true }).map((number) => number + 0); // -0 is 0
  const sample = fc.record({ labels: fc.record({ a: text, b: text }), value });
  const samples = fc.uniqueArray(sample, { minLength: 1, selector: ({ labels }) => JSON.stringify(labels) });
  fc.assert(
    fc.property(samples, text, (samples, help) => {
      const family = { type: 'gauge', help, samples } as const;
      const read = readExposition(
        writeExposition([
          { name: 'one', ...family },
          { name: 'two', ...family },
        ]),
      );
      const plain = structuredClone(family);
      for (const name of ['one', 'two']) assert.deepEqual(structuredClone(read.get(name)), plain);
    }),
  );
});
