/** Turns a number from [0, 1) into an index. */
export type Distribuicao = (uniform: number) => number;

/** Index k has a weight of 1 / (k + 1) ^ exponent: few get much, many get little. */
export function zipf(length: number, exponent: number): Distribuicao {
  const sums = new Float64Array(length);
  let total = 0;
  for (let index = 0; index < length; index++) {
    total += 1 / (index + 1) ** exponent;
    sums[index] = total;
  }
  return (uniform) => {
    const wanted = uniform * total;
    let low = 0;
    let high = length - 1;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((sums[middle] ?? total) <= wanted) low = middle + 1;
      else high = middle;
    }
    return low;
  };
}
