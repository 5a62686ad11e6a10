/** The keys of the stream: see `functions.ts`. */
export interface StreamKeys {
  readonly meta: string;
  readonly stream: string;
  readonly told: string;
  readonly wanted: string;
  readonly newcomer: string;
}

/** @param namespace - see {@link namespaceOf} */
export function streamKeysOf(namespace: string): StreamKeys {
  const key = (name: string): string => `${namespace}${name}`;
  return {
    meta: key('meta'),
    stream: key('stream'),
    told: key('told'),
    wanted: key('wanted'),
    newcomer: key('newcomer'),
  };
}
