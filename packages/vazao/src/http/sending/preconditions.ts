/** The fields of a request that decide how a stored answer is sent, and the preconditions among them (RFC 9110, 13). */

export interface SendingFields {
  accept: string | undefined;
  acceptEncoding: string | undefined;
  ifMatch: string | undefined;
  ifNoneMatch: string | undefined;
  ifModifiedSince: string | undefined;
  ifUnmodifiedSince: string | undefined;
  /** The client asks for a part. */
  hasRange: boolean;
}

/**
 * Reads them from the raw list. Node makes `request.headers` when it is first asked for, which costs as much as all the rest
 * of a hit; looking for a few names in the raw list costs next to nothing (`npm run bench:hit`).
 */
export function readSendingFields(rawHeaders: readonly string[]): SendingFields {
  const fields: SendingFields = {
    accept: undefined,
    acceptEncoding: undefined,
    ifMatch: undefined,
    ifNoneMatch: undefined,
    ifModifiedSince: undefined,
    ifUnmodifiedSince: undefined,
    hasRange: false,
  };
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const name = rawHeaders[i] as string;
    // By length first: of a browser's fifteen fields one or two come as far as a comparison.
    switch (name.length) {
      case 5:
        if (name.toLowerCase() === 'range') fields.hasRange = true;
        break;
      case 6:
        if (name.toLowerCase() === 'accept') fields.accept = joined(fields.accept, rawHeaders[i + 1] as string);
        break;
      case 8:
        if (name.toLowerCase() === 'if-match') fields.ifMatch = joined(fields.ifMatch, rawHeaders[i + 1] as string);
        break;
      case 13:
        if (name.toLowerCase() === 'if-none-match')
          fields.ifNoneMatch = joined(fields.ifNoneMatch, rawHeaders[i + 1] as string);
        break;
      case 15:
        if (name.toLowerCase() === 'accept-encoding')
          fields.acceptEncoding = joined(fields.acceptEncoding, rawHeaders[i + 1] as string);
        break;
      case 17:
        if (name.toLowerCase() === 'if-modified-since') fields.ifModifiedSince ??= rawHeaders[i + 1];
        break;
      case 19:
        if (name.toLowerCase() === 'if-unmodified-since') fields.ifUnmodifiedSince ??= rawHeaders[i + 1];
        break;
    }
  }
  return fields;
}

/** A list may come in several fields (RFC 9110, 5.3). */
function joined(before: string | undefined, value: string): string {
  return before === undefined ? value : `${before}, ${value}`;
}

/**
 * What of the current answer the client may have already: its entity tags by coding, the one that would be sent first, and
 * only those whose coding it takes.
 */
export interface Validators {
  readonly etags: readonly string[];
  /** Milliseconds since 1970; undefined when the answer does not say. */
  readonly lastModifiedMs: number | undefined;
}

export type Verdict =
  | 'send'
  | 'precondition failed'
  /** The client has the answer with this entity tag; undefined: it went by the date. */
  | { readonly notModified: string | undefined };

const SEND: Verdict = 'send';

/** Evaluates the preconditions of a GET or HEAD in the order of RFC 9110, 13.2.2. For answers of status 2xx alone (13.2.1). */
export function evaluatePreconditions(fields: SendingFields, { etags, lastModifiedMs }: Validators): Verdict {
  if (fields.ifMatch !== undefined) {
    const { ifMatch } = fields;
    if (!etags.some((etag) => matchesStrongly(ifMatch, etag))) return 'precondition failed';
  } else if (fields.ifUnmodifiedSince !== undefined && lastModifiedMs !== undefined) {
    const since = parseHttpDate(fields.ifUnmodifiedSince);
    if (since !== undefined && lastModifiedMs > since) return 'precondition failed';
  }
  if (fields.ifNoneMatch !== undefined) {
    const { ifNoneMatch } = fields;
    const etag = etags.find((one) => matchesEtag(ifNoneMatch, one));
    return etag === undefined ? SEND : { notModified: etag };
  }
  if (fields.ifModifiedSince !== undefined && lastModifiedMs !== undefined) {
    const since = parseHttpDate(fields.ifModifiedSince);
    if (since !== undefined && lastModifiedMs <= since) return { notModified: undefined };
  }
  return SEND;
}

/** An entity tag in a list. An opaque tag may hold a comma, so the list is read tag by tag. */
const ENTITY_TAG = /(?:W\/)?"[^"]*"/g;

/** Weak comparison (RFC 9110, 8.8.3.2), for `If-None-Match`. */
export function matchesEtag(condition: string, etag: string): boolean {
  if (condition === etag || condition.trim() === '*') return true;
  const opaque = etag.startsWith('W/') ? etag.slice(2) : etag;
  for (const [tag] of condition.matchAll(ENTITY_TAG))
    if ((tag.startsWith('W/') ? tag.slice(2) : tag) === opaque) return true;
  return false;
}

/** Strong comparison, for `If-Match`. */
function matchesStrongly(condition: string, etag: string): boolean {
  if (condition.trim() === '*') return true;
  if (etag.startsWith('W/')) return false;
  for (const [tag] of condition.matchAll(ENTITY_TAG)) if (tag === etag) return true;
  return false;
}

const DAYS = 'Mon|Tue|Wed|Thu|Fri|Sat|Sun';
const LONG_DAYS = 'Monday|Tuesday|Wednesday|Thursday|Friday|Saturday|Sunday';
const MONTHS = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec'];
const MONTH = `(?<month>${MONTHS.join('|')})`;
const TIME = '(?<hour>\\d\\d):(?<minute>\\d\\d):(?<second>\\d\\d)';
/** The one form that is sent, and the two of old that are understood (RFC 9110, 5.6.7). */
const HTTP_DATES = [
  new RegExp(`^(?:${DAYS}), (?<day>\\d\\d) ${MONTH} (?<year>\\d{4}) ${TIME} GMT$`),
  new RegExp(`^(?:${LONG_DAYS}), (?<day>\\d\\d)-${MONTH}-(?<year>\\d\\d) ${TIME} GMT$`),
  new RegExp(`^(?:${DAYS}) ${MONTH} (?<day>[ \\d]\\d) ${TIME} (?<year>\\d{4})$`),
];

/** Milliseconds since 1970; undefined for what is no HTTP-date, which counts as if it were not there. */
export function parseHttpDate(text: string, nowMs: number = Date.now()): number | undefined {
  for (const form of HTTP_DATES) {
    const parts = form.exec(text.trim())?.groups;
    if (!parts) continue;
    let year = Number(parts.year);
    if (parts.year?.length === 2) {
      // A year that seems to be more than fifty years ahead is the last one that ended in the same digits.
      const thisYear = new Date(nowMs).getUTCFullYear();
      year += Math.floor(thisYear / 100) * 100;
      if (year > thisYear + 50) year -= 100;
    }
    const month = MONTHS.indexOf(parts.month as string);
    const [day, hour, minute, second] = [parts.day, parts.hour, parts.minute, parts.second].map(Number) as [
      number,
      number,
      number,
      number,
    ];
    const ms = Date.UTC(year, month, day, hour, minute, second);
    const date = new Date(ms);
    // 31 February is no date; a leap second (60) is.
    const isReal = date.getUTCMonth() === month && date.getUTCDate() === day && hour < 24 && minute < 60;
    return isReal || second === 60 ? ms : undefined;
  }
  return undefined;
}
