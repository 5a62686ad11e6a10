/** What Next asks for and hands over, as far as it is looked at: its own types would be asked for of everybody who uses ours. */

export interface NextGetContext {
  /** `APP_PAGE`, `APP_ROUTE`, `PAGES`, `FETCH` (also `unstable_cache`), `IMAGE`. */
  readonly kind?: string | undefined;
  readonly isRoutePPREnabled?: boolean | undefined;
  /** Of `FETCH`: seconds. */
  readonly revalidate?: number | false | undefined;
  readonly tags?: readonly string[] | undefined;
  /** Those of the page's path, which `revalidatePath` names. */
  readonly softTags?: readonly string[] | undefined;
}

export interface NextSetContext {
  readonly fetchCache?: boolean | undefined;
  readonly isRoutePPREnabled?: boolean | undefined;
  readonly tags?: readonly string[] | undefined;
  readonly cacheControl?: CacheControl | undefined;
}

/** In seconds. */
export interface CacheControl {
  readonly revalidate?: number | false | undefined;
  readonly expire?: number | undefined;
}

/** What `get` gives. */
export interface NextEntry {
  readonly value: unknown;
  /** Milliseconds since 1970. */
  readonly lastModified: number;
  readonly cacheControl: CacheControl | undefined;
}

export interface KeptEntry extends NextEntry {
  lastModified: number;
  cacheControl: CacheControl | undefined;
  readonly tags: readonly string[];
  /** Of the revalidations of tags, when it began to be made. */
  readonly madeAt: number;
}

interface Data {
  readonly headers?: Readonly<Record<string, unknown>> | undefined;
  readonly tags?: readonly string[] | undefined;
  readonly revalidate?: unknown;
}

/** Next writes "never" as a year or as the largest number of seconds that it knows. */
const NEVER_SECONDS = 31_536_000;

export function tagsOf(data: unknown, context: NextSetContext): string[] {
  const { headers, tags } = (data ?? {}) as Data;
  const named = headers?.['x-next-cache-tags'];
  return [...(typeof named === 'string' ? named.split(',') : []), ...(tags ?? []), ...(context.tags ?? [])];
}

/** How long Next gives it without asking for another; undefined for ever. */
export function revalidateMsOf(data: unknown, cacheControl: CacheControl | undefined): number | undefined {
  const seconds = cacheControl?.revalidate ?? ((data ?? {}) as Data).revalidate;
  return typeof seconds === 'number' && seconds < NEVER_SECONDS ? seconds * 1_000 : undefined;
}

/** Whether Next may let it be made again although it was given. In doubt it may. */
export function mayBeMadeAgain({ value, lastModified, cacheControl }: KeptEntry, context: NextGetContext): boolean {
  const isFetch = context.kind === 'FETCH';
  if (!isFetch && !cacheControl) return true;
  const ageSeconds = (Date.now() - lastModified) / 1_000;
  const limits = isFetch
    ? [context.revalidate || ((value ?? {}) as Data).revalidate]
    : [cacheControl?.revalidate, cacheControl?.expire];
  return limits.some((seconds) => typeof seconds === 'number' && ageSeconds >= seconds);
}

/** About what it takes in memory. */
export function sizeOf(value: unknown): number {
  if (typeof value === 'string') return 2 * value.length;
  if (typeof value !== 'object' || value === null) return 8;
  if (ArrayBuffer.isView(value)) return value.byteLength;
  const parts: readonly (readonly [unknown, unknown])[] =
    value instanceof Map ? [...(value as Map<unknown, unknown>)] : Object.entries(value);
  return parts.reduce((sum, [name, part]) => sum + sizeOf(name) + sizeOf(part), 0);
}
