/**
 * A value that no field may have, as a line break that a handler copied from a query. Node refuses to write it, so that nobody
 * can forge a field; but where a hook waited before, Fastify writes in nobody's care, and what Node throws there would end the
 * process, at the wish of anybody who may send such a query.
 */
import { validateHeaderName, validateHeaderValue } from 'node:http';
import type { FastifyReply } from 'fastify';

/** Takes such a field away. Returns the error that says so, for the request to fail by. */
export function takeInvalidField(reply: FastifyReply): Error | undefined {
  const fields = reply.getHeaders();
  for (const name in fields) {
    const value = fields[name];
    if (value === undefined) continue;
    try {
      validateHeaderName(name);
      for (const one of Array.isArray(value) ? value : [value]) validateHeaderValue(name, String(one));
    } catch (error) {
      reply.removeHeader(name);
      return error as Error;
    }
  }
  return undefined;
}
