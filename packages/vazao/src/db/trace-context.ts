/**
 * W3C Trace Context, level 2 (`traceparent`, `tracestate`): which distributed trace a request is a part of. What is
 * malformed is ignored, as if it had not been sent (section 3.2.3); `tracestate` counts only beside a good `traceparent`.
 *
 * It goes to logs and, by {@link traceHeaders}, to requests that a handler makes. It does not go to PostgreSQL as a comment
 * in statements (sqlcommenter): each text would be another, and neither prepared statements nor read sets could be shared.
 */
import { randomBytes } from 'node:crypto';
import { currentContext } from './context.ts';

export interface TraceContext {
  /** 32 hexadecimal digits. */
  readonly traceId: string;
  /** Of the caller's span: 16 hexadecimal digits. */
  readonly parentId: string;
  /** Of this work's own span. */
  readonly spanId: string;
  /** 1: the caller may have recorded it; 2: the trace id is random. */
  readonly flags: number;
  /** As it came; undefined when there is none, or none that holds. */
  readonly state: string | undefined;
}

const PARENT = /^([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?$/;
const ZEROS = /^0+$/;
/** The flags that level 2 defines; the others are sent as zero. */
const FLAGS_KNOWN = 0b11;
const STATE_MEMBERS_MAX = 32;
/** More need not be propagated; it is left out whole, since members of unknown vendors can't be weighed. */
const STATE_LENGTH_MAX = 2_048;
const STATE_MEMBER =
  /^(?:[a-z0-9][a-z0-9_\-*/@]{0,255})=[\x20-\x2b\x2d-\x3c\x3e-\x7e]{0,255}[\x21-\x2b\x2d-\x3c\x3e-\x7e]$/;

/** Reads the two fields of a request, as Node gives them. Undefined when there is no trace, or the field is malformed. */
export function createTraceContext(
  traceparent: string | undefined,
  tracestate: string | readonly string[] | undefined,
): TraceContext | undefined {
  const match = traceparent === undefined ? null : PARENT.exec(traceparent);
  if (!match) return undefined;
  const [, version, traceId, parentId, flags, rest] = match as unknown as readonly [
    string,
    string,
    string,
    string,
    string,
    string | undefined,
  ];
  // A later version may say more; this one must not.
  if (version === 'ff' || (version === '00' && rest !== undefined)) return undefined;
  if (ZEROS.test(traceId) || ZEROS.test(parentId)) return undefined;
  return {
    traceId,
    parentId,
    spanId: createSpanId(),
    flags: Number.parseInt(flags, 16) & FLAGS_KNOWN,
    state: readState(tracestate),
  };
}

/**
 * The fields that continue the trace of the present request in one that it makes:
 * `fetch(url, { headers: { ...traceHeaders() } })`. Empty where there is none.
 *
 * An answer that is cached belongs to the trace of the request that computed it; don't write the ids into it.
 */
export function traceHeaders(): Record<string, string> {
  const trace = currentContext()?.trace;
  if (!trace) return {};
  const flags = trace.flags.toString(16).padStart(2, '0');
  const traceparent = `00-${trace.traceId}-${trace.spanId}-${flags}`;
  return trace.state === undefined ? { traceparent } : { traceparent, tracestate: trace.state };
}

function readState(tracestate: string | readonly string[] | undefined): string | undefined {
  if (tracestate === undefined) return undefined;
  const text = [tracestate].flat().join(',');
  if (text.length > STATE_LENGTH_MAX) return undefined;
  const members = text
    .split(',')
    .map((member) => member.replace(/^[ \t]+|[ \t]+$/g, ''))
    .filter((member) => member !== '');
  if (members.length === 0 || members.length > STATE_MEMBERS_MAX) return undefined;
  if (!members.every((member) => STATE_MEMBER.test(member))) return undefined;
  const keys = new Set(members.map((member) => member.slice(0, member.indexOf('='))));
  return keys.size === members.length ? members.join(',') : undefined;
}

function createSpanId(): string {
  for (;;) {
    const id = randomBytes(8).toString('hex');
    if (!ZEROS.test(id)) return id;
  }
}
