/**
 * Fields of an answer that no hook sees, because what was asked does not get as far as Fastify: a policy that lets a page have
 * our own styles and images and nothing else, and no place in a cache (a 414 may else be kept, RFC 9110, 15.1). Names and values in turn.
 */
export const BARE_FIELDS: readonly string[] = [
  'cache-control',
  'no-store',
  'content-security-policy',
  "default-src 'none';style-src 'self';img-src 'self' data:;font-src 'self';frame-ancestors 'none';base-uri 'none';form-action 'none'",
  'x-content-type-options',
  'nosniff',
  'x-frame-options',
  'DENY',
  'referrer-policy',
  'no-referrer',
  'cross-origin-opener-policy',
  'same-origin',
  'cross-origin-resource-policy',
  'same-origin',
];
