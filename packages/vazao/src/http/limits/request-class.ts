/** To which class a request belongs: what it may take of the room, and which limits hold for it. */

/** In the order in which freed room is offered when two classes have the same claim to it. */
export const REQUEST_CLASSES = ['health', 'admin', 'login', 'write', 'read'] as const;

export type RequestClass = (typeof REQUEST_CLASSES)[number];

/** Methods that only read (RFC 9110, 9.2.1). */
const SAFE_METHODS = new Set(['GET', 'HEAD', 'OPTIONS', 'TRACE']);

/**
 * The class of a route that does not say `config: { class }`: `health` for `/health`, `admin` below `/admin`, else by its
 * method.
 * @param pattern - the URL pattern of the route; undefined when no route was found
 */
export function classOf(method: string, pattern: string | undefined): RequestClass {
  if (pattern === '/health') return 'health';
  if (pattern !== undefined && /^\/admin(\/|$)/.test(pattern)) return 'admin';
  return SAFE_METHODS.has(method) ? 'read' : 'write';
}
