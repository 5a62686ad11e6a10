/** Systems of three equations; larger ones would want a library. */

/** Solves Ax = b by elimination with pivots; undefined if A is singular. The rows are scaled first, for they differ by many powers of ten. */
export function solve(a: readonly (readonly number[])[], b: readonly number[]): number[] | undefined {
  const n = b.length;
  // Columns of a normal equation are as different as the parameters: x = D y with D the diagonal's roots.
  const scale = a.map((row, i) => 1 / Math.sqrt(Math.abs(row[i] as number) || 1));
  const rows = a.map((row, i) => [
    ...row.map((value, j) => value * (scale[i] as number) * (scale[j] as number)),
    (b[i] as number) * (scale[i] as number),
  ]);
  for (let column = 0; column < n; column++) {
    let pivot = column;
    for (let i = column + 1; i < n; i++)
      if (Math.abs(at(rows, i, column)) > Math.abs(at(rows, pivot, column))) pivot = i;
    if (Math.abs(at(rows, pivot, column)) < 1e-14) return undefined;
    [rows[column], rows[pivot]] = [rows[pivot] as number[], rows[column] as number[]];
    for (let i = 0; i < n; i++) {
      if (i === column) continue;
      const factor = at(rows, i, column) / at(rows, column, column);
      for (let j = column; j <= n; j++) (rows[i] as number[])[j] = at(rows, i, j) - factor * at(rows, column, j);
    }
  }
  return rows.map((row, i) => ((row[n] as number) / (row[i] as number)) * (scale[i] as number));
}

/** Undefined if it is singular. */
export function invert(a: readonly (readonly number[])[]): number[][] | undefined {
  const columns = a.map((_, column) =>
    solve(
      a,
      a.map((_, i) => (i === column ? 1 : 0)),
    ),
  );
  if (columns.includes(undefined)) return undefined;
  return a.map((_, i) => columns.map((column) => column?.[i] as number));
}

function at(rows: readonly (readonly number[])[], i: number, j: number): number {
  return rows[i]?.[j] as number;
}
