/** For tests: statements and the read sets that they must have, over the example catalog. */
import assert from 'node:assert/strict';
import { before, describe, test } from 'node:test';
import { type Analyzer, createAnalyzer } from './analyzer.ts';
import { describeTerm } from './describe.ts';
import { EXAMPLE_CATALOG } from './example-catalog.ts';
import { loadParser } from './parse.ts';

let analyzer: Analyzer | undefined;
before(loadParser);

/** One for all cases of a file. Only within tests. */
export function exampleAnalyzer(): Analyzer {
  analyzer ??= createAnalyzer(EXAMPLE_CATALOG, { declaredFunctions: [{ name: 'trusted', reads: 'arguments' }] });
  return analyzer;
}

/** Statement, expected terms (`;` between), parameters. */
export type Case = readonly [sql: string, expected: string, parameters?: readonly unknown[]];

export function check(name: string, cases: readonly Case[]): void {
  describe(name, () => {
    for (const [sql, expected, parameters = []] of cases) {
      test(`${sql}${parameters.length > 0 ? ` with ${JSON.stringify(parameters)}` : ''}`, () => {
        const template = exampleAnalyzer().template(sql);
        assert.equal(template.refusal, undefined);
        assert.equal(template.pure, true);
        assert.equal(template.bind(parameters).terms.map(describeTerm).join('; '), expected);
      });
    }
  });
}
