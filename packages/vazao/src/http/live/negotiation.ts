/** Whether a client asks for the answer as a stream of events (RFC 9110, 12.5.1). */

export const EVENT_STREAM = 'text/event-stream';

/**
 * True where the field names the type, and none is preferred to it: a client that takes anything, or a page as willingly,
 * gets the answer itself. That `*` stands for the rest says nothing against it.
 */
export function wantsEvents(accept: string | undefined): boolean {
  if (!accept?.toLowerCase().includes(EVENT_STREAM)) return false;
  let own = 0;
  let other = 0;
  let rest = 0;
  for (const { range, quality } of readRanges(accept)) {
    if (range === EVENT_STREAM) own = Math.max(own, quality);
    else if (range.endsWith('/*')) rest = Math.max(rest, quality);
    else other = Math.max(other, quality);
  }
  return own > 0 && own > other && own >= rest;
}

/** The field without that type: what the answer itself may be. Undefined where nothing is left. */
export function withoutEvents(accept: string): string | undefined {
  const ranges = accept.split(',').filter((range) => typeOf(range) !== EVENT_STREAM);
  const left = ranges.map((range) => range.trim()).join(', ');
  return left === '' ? undefined : left;
}

function readRanges(accept: string): { range: string; quality: number }[] {
  return accept.split(',').map((text) => {
    const quality = /;\s*q\s*=\s*([01](?:\.\d{0,3})?)\s*(?:;|$)/i.exec(text)?.[1];
    return { range: typeOf(text), quality: quality === undefined ? 1 : Number(quality) };
  });
}

function typeOf(range: string): string {
  return (range.split(';')[0] as string).trim().toLowerCase();
}
