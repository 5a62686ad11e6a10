/** Reads Prometheus's text format, version 0.0.4, by its grammar, and refuses whatever is not of it. */
import assert from 'node:assert/strict';

const NAME = '[a-zA-Z_:][a-zA-Z0-9_:]*';
const PAIR = String.raw`[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\n]|\\["\\n])*"`;
const HELP = new RegExp(String.raw`^# HELP (${NAME}) ((?:[^\\\n]|\\[\\n])*)$`);
const TYPE = new RegExp(`^# TYPE (${NAME}) (counter|gauge|histogram|summary|untyped)$`);
const SAMPLE = new RegExp(String.raw`^(${NAME})(?:\{(${PAIR}(?:,${PAIR})*)\})? (\S+)$`);
const VALUE = /^(?:[+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?|[+-]Inf|NaN)$/i;

export interface ReadFamily {
  readonly type: string;
  readonly help: string;
  readonly samples: { readonly labels: Record<string, string>; readonly value: number }[];
}

export function readExposition(text: string): Map<string, ReadFamily> {
  assert.ok(text === '' || text.endsWith('\n'), 'the last line ends, too');
  const families = new Map<string, ReadFamily>();
  const seen = new Set<string>();
  let help: RegExpExecArray | undefined;
  let current = '';
  for (const line of text.split('\n').slice(0, -1)) {
    const [, typed, type] = TYPE.exec(line) ?? [];
    if (line.startsWith('# HELP ')) {
      help = HELP.exec(line) ?? assert.fail(line);
    } else if (typed !== undefined && type !== undefined) {
      assert.ok(!families.has(typed), `${typed} stands in one place`);
      assert.equal(help?.[1], typed, 'help stands before the type');
      families.set(typed, { type, help: unescaped(help?.[2] ?? ''), samples: [] });
      current = typed;
    } else {
      const [, name, pairs = '', value = ''] = SAMPLE.exec(line) ?? assert.fail(line);
      assert.equal(name, current, 'samples stand below their type');
      assert.match(value, VALUE);
      assert.ok(!seen.has(`${name}{${pairs}}`), `${line} stands there once`);
      seen.add(`${name}{${pairs}}`);
      const labels = [...pairs.matchAll(/(\w+)="((?:[^"\\]|\\.)*)"/g)].map(([, label = '', text = '']) => [
        label,
        unescaped(text),
      ]);
      families
        .get(current)
        ?.samples.push({ labels: Object.fromEntries(labels), value: Number(value.replace('Inf', 'Infinity')) });
    }
  }
  return families;
}

/** The sum of the samples that have these labels, beside others; fails when there are none. */
export function sumOf(families: Map<string, ReadFamily>, name: string, labels: Record<string, string> = {}): number {
  const found = (families.get(name)?.samples ?? []).filter((sample) =>
    Object.entries(labels).every(([label, value]) => sample.labels[label] === value),
  );
  assert.ok(found.length > 0, `there is ${name} ${JSON.stringify(labels)}`);
  return found.reduce((sum, { value }) => sum + value, 0);
}

function unescaped(text: string): string {
  return text.replaceAll(/\\(.)/g, (_all, character: string) => (character === 'n' ? '\n' : character));
}
