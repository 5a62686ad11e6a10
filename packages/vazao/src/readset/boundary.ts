/**
 * Reads the boundary of a top-N answer as PostgreSQL sent it, whatever the application makes of the values: its parsers may
 * cut (a `Date` has no microseconds), round, or convert them.
 */
import type { TopRows } from './top-n.ts';

/** The part of pg's `types` that is used: asked once for each column of an answer, in order. */
export interface TypeParsers {
  // biome-ignore lint/suspicious/noExplicitAny: as pg and its users declare it
  getTypeParser(oid: number, format?: any): any;
}

export interface BoundaryReader {
  /** To be given to pg in place of the parsers that it wraps; for one statement. */
  readonly types: TypeParsers;
  /** @param rowCount - rows that came back */
  read(rowCount: number): TopRows;
}

export function createBoundaryReader(
  top: { readonly position: number; readonly nullsFirst: boolean },
  parsers: TypeParsers,
): BoundaryReader {
  let columns = 0;
  let values = 0;
  let last: unknown;
  return {
    types: {
      getTypeParser(oid, format) {
        const parse = parsers.getTypeParser(oid, format);
        if (columns++ !== top.position) return parse;
        return (value: unknown) => {
          values++;
          last = value;
          return parse(value);
        };
      },
    },
    read(rowCount) {
      // NULL is not parsed. Where NULLs come first, the last value is that of the last row, if there is one at all.
      const isLastNull = top.nullsFirst ? values === 0 : values < rowCount;
      const boundary = isLastNull ? null : typeof last === 'string' ? last : undefined; // binary is not read
      return { rowCount, boundary };
    },
  };
}
