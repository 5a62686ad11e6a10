/**
 * What a text says over and over, cut down to three times: `in (1, 2, 3, … 20000)` becomes `in (1, 2, 20000)`, and likewise rows of
 * `VALUES`, branches of `CASE`, selects of `UNION ALL`, terms of `OR`, as far as they differ by nothing but literals and
 * parameters. All that the text names (tables, columns, functions, operators, types) is still there, each before and after what it
 * stood before and after, so that an analysis of the rest says what the text reads; not which rows, for values are gone. It
 * takes a few passes over the text, where parsing all of it would take ten times as long.
 */
import { mentionsCurrentTime } from './inspect.ts';
import { LITERAL, scanTokens, type Tokens } from './scan-tokens.ts';

export interface Shortened {
  readonly text: string;
  /** A number may have stood for a column (`ORDER BY 2`), and not be there any more. */
  readonly mayCountColumns: boolean;
}

/** One at the beginning of a repetition, one at its end, and one between two others. */
const KEPT = 3;
/** Tokens of one repetition; of short ones first, since those within others are then of one length. */
const PERIODS: readonly number[] = [2, 16, 128, 4_096];
const SHAPES_MAX = 1_000_000;

/** Undefined where it isn't surely known what is a literal, or where one that would be gone may change what is read. */
export function shortenRepeats(text: string): Shortened | undefined {
  const tokens = scanTokens(text);
  // A setting is named by a literal; and a name that is spelt in numbers may be that of the function.
  if (!tokens || tokens.texts.some((word) => /^u&|^"?current_setting\b/i.test(word))) return undefined;
  const { depths, least, most } = depthsOf(tokens);
  const levels = most + 1;
  if (least < 0 || levels * tokens.texts.length > SHAPES_MAX) return undefined;
  const { pieces, starts, shapes } = piecesOf(tokens, depths, levels);
  const endOf = (piece: number): number => tokens.starts[piece + 1] ?? text.length;
  const mustStay = (piece: number): boolean =>
    (shapes[piece] ?? 0) < levels && isTelling(text.slice(starts[piece], endOf(piece)));
  const last = new Int32Array(levels * tokens.texts.length);
  let kept: readonly number[] | undefined = pieces;
  for (const periodMax of PERIODS) kept = kept && withoutRepeats(kept, shapes, periodMax, last.fill(-1), mustStay);
  const mayCountColumns = tokens.texts.some((word) => /^(?:by|distinct)$/i.test(word));
  return kept && { text: kept.map((piece) => text.slice(starts[piece], endOf(piece))).join(''), mayCountColumns };
}

/** By token; a bracket is as deep as what it stands in. */
function depthsOf({ words, texts }: Tokens): {
  readonly depths: Int32Array;
  readonly least: number;
  readonly most: number;
} {
  const changes = texts.map((text) => (text === '(' || text === '[' ? 1 : text === ')' || text === ']' ? -1 : 0));
  const depths = new Int32Array(words.length);
  let least = 0;
  let most = 0;
  let depth = 0;
  for (let at = 0; at < words.length; at++) {
    const change = changes[words[at] ?? LITERAL] ?? 0;
    if (change < 0) depth--;
    depths[at] = depth;
    if (change > 0) depth++;
    least = Math.min(least, depth);
    most = Math.max(most, depth);
  }
  return { depths, least, most };
}

/** A piece is a token, with what follows it up to the next one; it goes by the token's number. */
interface Pieces {
  readonly pieces: readonly number[];
  readonly starts: Int32Array;
  /** The same of two that say the same at the same depth; of literals and parameters the depth alone. */
  readonly shapes: Int32Array;
}

function piecesOf(tokens: Tokens, depths: Int32Array, levels: number): Pieces {
  const { words, texts } = tokens;
  const starts = new Int32Array(tokens.starts);
  const shapes = new Int32Array(words.length);
  const meant = texts.map((word, at) => (/^(?:null|true|false)$/i.test(word) ? LITERAL : at));
  const isMinus = texts.map((word) => word === '-');
  const isListed = texts.map((word) => word === '(' || word === ',' || word === '[');
  const pieces: number[] = [];
  for (let at = 0; at < words.length; at++) {
    const word = meant[words[at] ?? LITERAL] ?? LITERAL;
    shapes[at] = word * levels + (depths[at] ?? 0);
    // In a list a sign belongs to its number.
    if (word === LITERAL && isMinus[words[at - 1] ?? LITERAL] && isListed[words[at - 2] ?? LITERAL])
      starts[at] = starts[pieces.pop() ?? at] ?? 0;
    pieces.push(at);
  }
  return { pieces, starts, shapes };
}

/**
 * A piece that does not go on with the repetition at hand may begin another, whose period is the distance to where its like was last.
 *
 * @param last - by shape, where it was last; for use in here
 * @returns undefined if something that would be left out must stay
 */
function withoutRepeats(
  pieces: readonly number[],
  shapes: Int32Array,
  periodMax: number,
  last: Int32Array,
  mustStay: (piece: number) => boolean,
): readonly number[] | undefined {
  const kept: number[] = [];
  let copiedTo = 0;
  const keep = (end: number): void => {
    for (let at = copiedTo; at < end; at++) kept.push(pieces[at] ?? 0);
  };
  let period = 0;
  let start = 0;
  for (let at = 0; at <= pieces.length; at++) {
    const shape = shapes[pieces[at] ?? -1] ?? -1;
    if (period === 0 || shapes[pieces[at - period] ?? -1] !== shape) {
      const copies = period === 0 ? 0 : Math.floor((at - start) / period);
      if (copies > KEPT) {
        const end = start + (copies - 1) * period;
        keep(start + (KEPT - 1) * period);
        for (let left = start + (KEPT - 1) * period; left < end; left++)
          if (mustStay(pieces[left] ?? 0)) return undefined;
        copiedTo = end;
      }
      const distance = at - (last[shape] ?? -1);
      period = distance > at || distance > periodMax ? 0 : distance;
      start = at - period;
    }
    if (shape >= 0) last[shape] = at;
  }
  keep(pieces.length);
  return kept;
}

/** Of a literal: it may mean the current time, or is spelt so that this can't be seen. */
function isTelling(literal: string): boolean {
  return literal.includes('\\') || mentionsCurrentTime(literal);
}
