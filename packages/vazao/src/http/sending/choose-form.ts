/**
 * The form in which a stored answer goes to a client: whole, in a coding that it takes, as a 304, or as a refused precondition.
 * `Range` is not honoured, which RFC 9110 (14.2) leaves to the server: the parts of an answer that the next write ends would
 * not fit together.
 */
import { etagOf, type Representation, type StoredResponse } from '../stored-response.ts';
import type { Acceptable } from './content-coding.ts';
import { evaluatePreconditions, type SendingFields } from './preconditions.ts';

export type Form =
  | { readonly kind: 'whole'; readonly representation: Representation }
  | { readonly kind: 'not modified'; readonly etag: string }
  | { readonly kind: 'precondition failed' };

const PRECONDITION_FAILED: Form = { kind: 'precondition failed' };

/** Undefined when the client refuses the body as it is and there is no other yet. */
export function chooseForm(stored: StoredResponse, fields: SendingFields, acceptable: Acceptable): Form | undefined {
  if (hasCondition(fields) && stored.status >= 200 && stored.status < 300) {
    const etags = acceptableEtags(stored, acceptable);
    const verdict = evaluatePreconditions(fields, { etags, lastModifiedMs: stored.lastModifiedMs });
    if (verdict === 'precondition failed') return PRECONDITION_FAILED;
    if (verdict !== 'send') return { kind: 'not modified', etag: verdict.notModified ?? (etags[0] as string) };
  }
  const representation = select(stored, acceptable);
  return representation && { kind: 'whole', representation };
}

function hasCondition(fields: SendingFields): boolean {
  return (
    fields.ifNoneMatch !== undefined ||
    fields.ifMatch !== undefined ||
    fields.ifModifiedSince !== undefined ||
    fields.ifUnmodifiedSince !== undefined
  );
}

/** The best coding for the client of those that are there. */
function select(stored: StoredResponse, acceptable: Acceptable): Representation | undefined {
  const { codings } = stored;
  if (!codings) return stored;
  for (const coding of acceptable) {
    if (coding === 'identity') return stored;
    const representation = codings[coding];
    if (representation !== undefined && representation !== 'not smaller') return representation;
  }
  return undefined;
}

/**
 * The tags that the answer has in the codings that the client takes, what it would get now first. A copy that it made from
 * any of them is current, also when that coding is not there any more, or not yet again.
 */
function acceptableEtags(stored: StoredResponse, acceptable: Acceptable): string[] {
  const { codings, etag } = stored;
  if (!codings || etag.startsWith('W/')) return [etag];
  const etags: string[] = [];
  let hasCurrent = false;
  for (const coding of acceptable) {
    const tag = coding === 'identity' ? etag : etagOf(etag, coding);
    const isThere = coding === 'identity' || typeof codings[coding] === 'object';
    if (isThere && !hasCurrent) {
      etags.unshift(tag);
      hasCurrent = true;
    } else etags.push(tag);
  }
  return etags;
}
