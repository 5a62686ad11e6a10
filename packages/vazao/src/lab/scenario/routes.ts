/** Requests whose paths, parameters and bodies are checked against the application's OpenAPI document. */
import { LabError } from '../errors.ts';
import type { Headers, HttpRequest } from './scenario.ts';

/** What `vazao lab types` writes: by method and path, what a request takes and what its answer is. */
export interface RouteTypes {
  readonly params?: Readonly<Record<string, string | number>>;
  readonly query?: Readonly<Record<string, unknown>>;
  readonly json?: unknown;
  readonly answer?: unknown;
}

type RequestParts<Route extends RouteTypes> = Omit<Route, 'answer'> & { readonly headers?: Headers | undefined };
/** May be left out when nothing in it is required. */
type Rest<Parts> = Record<never, never> extends Parts ? [parts?: Parts] : [parts: Parts];

/**
 * `const route = routes<Routes>()`, and then `route('GET /campaigns/{id}/', { params: { id: 7 } })` is a request that knows its answer:
 * in a `step`, `answer.json()` has that type.
 * The function throws {@link LabError} for a parameter that is missing.
 */
export function routes<Routes extends { readonly [Name in keyof Routes]: RouteTypes }>(): <
  Name extends keyof Routes & string,
>(
  name: Name,
  ...rest: Rest<RequestParts<Routes[Name]>>
) => HttpRequest<Routes[Name]['answer']> {
  return (name, ...[parts = {}]) => {
    const { params = {}, query = {}, json, headers } = parts as RouteTypes & { readonly headers?: Headers };
    const space = name.indexOf(' ');
    const path = name.slice(space + 1).replaceAll(/\{([^}]+)\}/g, (_, parameter: string) => {
      const value = params[parameter];
      if (value === undefined) throw new LabError('ERR_LAB_SCENARIO', `${name} lacks the parameter ${parameter}.`);
      return encodeURIComponent(value);
    });
    const search = new URLSearchParams();
    for (const [key, value] of Object.entries(query)) {
      for (const one of Array.isArray(value) ? value : [value]) if (one !== undefined) search.append(key, String(one));
    }
    return {
      method: name.slice(0, space) as NonNullable<HttpRequest['method']>,
      path: search.size === 0 ? path : `${path}?${search}`,
      ...(headers && { headers }),
      ...(json !== undefined && { json }),
    };
  };
}
