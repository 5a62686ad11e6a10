/** Bytes of `512 MB`, `1.5GB`, `1048576`; undefined when the text is no size. */
export function parseSize(text: string): number | undefined {
  const match = /^(\d+(?:\.\d+)?)\s*(B|KB|MB|GB)?$/i.exec(text);
  const power = ['B', 'KB', 'MB', 'GB'].indexOf((match?.[2] ?? 'B').toUpperCase());
  return match ? Math.round(Number(match[1]) * 1024 ** power) : undefined;
}
