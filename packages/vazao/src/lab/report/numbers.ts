/** Numbers for people: three digits that mean something, and a unit. */

/** Undefined becomes a dash. */
export function showNumber(value: number | undefined): string {
  if (value === undefined || !Number.isFinite(value)) return '–';
  const size = Math.abs(value);
  if (size >= 100) return Math.round(value).toLocaleString('en');
  if (size >= 10) return value.toFixed(1);
  return size === 0 ? '0' : value.toFixed(size >= 0.1 ? 2 : 3);
}

export function showMs(value: number | undefined): string {
  if (value === undefined) return '–';
  return value >= 10_000 ? `${showNumber(value / 1_000)} s` : `${showNumber(value)} ms`;
}

export function showShare(value: number | undefined): string {
  if (value === undefined || !Number.isFinite(value)) return '–';
  const percent = value * 100;
  const digits = percent >= 10 ? 0 : percent >= 1 ? 1 : 2;
  return `${Number(percent.toFixed(digits))} %`;
}

export function showBytes(value: number | undefined): string {
  if (value === undefined) return '–';
  if (value < 1024 ** 2) return `${showNumber(value / 1024)} KB`;
  return value < 1024 ** 3 ? `${showNumber(value / 1024 ** 2)} MB` : `${showNumber(value / 1024 ** 3)} GB`;
}
