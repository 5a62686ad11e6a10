/**
 * What a text says over and over, cut down to three times: `in (1, 2, 3, … 20000)` becomes `in (1, 2, 20000)`, and likewise rows of
 * `VALUES`, branches of `CASE`, selects of `UNION ALL`, terms of `OR`, as far as they differ by nothing but literals and
 * parameters. All tables, functions, operators and types that the text names are still named, each before and after what it stood
 * before and after, so that an analysis of the rest says which tables the text reads, and whether its answer may be kept. It does not
 * say which rows and columns: values are gone, and numbers that count columns.
 *
 * Comments go, too, and what long texts say. It takes a few passes over the text, where parsing all of it would take ten times as
 * long.
 */
import { LETTERS, mentionsCurrentTime } from './inspect.ts';
import { LITERAL, scanTokens, type Tokens } from './scan-tokens.ts';

export interface Shortened {
  readonly text: string;
  /** Of the whole text. */
  readonly parameterCount: number;
}

/** One at the beginning of a repetition, one at its end, and one between two others. */
const KEPT = 3;
/** Tokens of one repetition; of short ones first, since those within others are then of one length. */
const PERIODS: readonly number[] = [2, 16, 128, 4_096];
const SHAPES_MAX = 1_000_000;

/** Of a text in quotes; a longer one is as good as any other. */
const LITERAL_LENGTH_MAX = 64;

/** Undefined where it isn't surely known what is a literal, or where one that would be gone may change what is read. */
export function shortenRepeats(text: string): Shortened | undefined {
  const tokens = scanTokens(text);
  // A setting is named by a literal.
  if (!tokens || tokens.texts.some((word) => /^"?current_setting\b/i.test(word))) return undefined;
  const layout = layOut(tokens);
  if (!layout || layout.levels * layout.words > SHAPES_MAX) return undefined;
  const { pieces, starts, shapes } = piecesOf(text, tokens, layout);
  const isLiteral = (piece: number): boolean => (shapes[piece] ?? 0) < layout.levels;
  const textOf = (piece: number): string => text.slice(starts[piece], tokens.ends[piece]);
  const mustStay = (piece: number): boolean => isLiteral(piece) && isTelling(textOf(piece));
  /** Kept ones that stand for one with letters, of which functions may make a word. */
  const lettered = new Set<number>();
  const noteLeftOut = (piece: number, kept: number): void => {
    if (lettered.has(piece) || (isLiteral(piece) && LETTERS.test(textOf(piece)))) lettered.add(kept);
  };
  const last = new Int32Array(layout.levels * layout.words);
  let kept: readonly number[] | undefined = pieces;
  for (const periodMax of PERIODS)
    kept = kept && withoutRepeats(kept, { shapes, periodMax, last: last.fill(-1), isLiteral, mustStay, noteLeftOut });
  if (!kept) return undefined;
  let shortened = '';
  let copiedTo = 0;
  for (const piece of kept) {
    // Where something was left out two tokens meet that did not.
    if (starts[piece] !== copiedTo && copiedTo !== 0) shortened += ' ';
    const found = textOf(piece);
    const isLong = found.length > LITERAL_LENGTH_MAX && /^[nN$']/.test(found);
    // A space, since what stands before a quote may be a part of it.
    if ((isLong || lettered.has(piece)) && isLiteral(piece) && !isTelling(found)) shortened += " 'a'";
    else shortened += found;
    copiedTo = tokens.ends[piece] ?? text.length;
  }
  return { text: shortened, parameterCount: tokens.parameterCount };
}

interface Layout {
  /** By token, what it counts as. */
  readonly meant: Int32Array;
  /** By token; a bracket is as deep as what it stands in. */
  readonly depths: Int32Array;
  readonly words: number;
  readonly levels: number;
}

/**
 * Where a SELECT is, commas stand between columns that others know by their position (in a UNION, by the names of a CTE): each counts as a
 * word of its own, so that selects may repeat, but not columns. Undefined where brackets don't match.
 */
function layOut({ words, texts }: Tokens): Layout | undefined {
  const changes = texts.map((text) => (text === '(' || text === '[' ? 1 : text === ')' || text === ']' ? -1 : 0));
  const kinds = texts.map((text) => (text === ',' ? ',' : /^select$/i.test(text) ? 'select' : ''));
  const depths = new Int32Array(words.length);
  const groups = new Int32Array(words.length);
  const hasSelect = [false];
  const open = [0];
  let levels = 1;
  for (let at = 0; at < words.length; at++) {
    const word = words[at] ?? LITERAL;
    if (changes[word] === -1) open.pop();
    const group = open.at(-1);
    if (group === undefined) return undefined;
    depths[at] = open.length - 1;
    groups[at] = group;
    if (kinds[word] === 'select') hasSelect[group] = true;
    if (changes[word] === 1) open.push(hasSelect.push(false) - 1);
    levels = Math.max(levels, open.length);
  }
  const meant = new Int32Array(words);
  const columns = hasSelect.map(() => 0);
  let columnsMax = 0;
  for (let at = 0; at < words.length; at++) {
    const word = words[at] ?? LITERAL;
    const group = groups[at] ?? 0;
    if (kinds[word] === 'select') columns[group] = 0;
    if (kinds[word] !== ',' || !hasSelect[group]) continue;
    const column = columns[group] ?? 0;
    meant[at] = texts.length + column;
    columns[group] = column + 1;
    columnsMax = Math.max(columnsMax, column + 1);
  }
  return { meant, depths, words: texts.length + columnsMax, levels };
}

/** A piece is a token, or a number with its sign; it goes by the token's number. */
interface Pieces {
  readonly pieces: readonly number[];
  readonly starts: Int32Array;
  /** The same of two that say the same at the same depth; of literals and parameters the depth alone. */
  readonly shapes: Int32Array;
}

function piecesOf(text: string, { starts: at, words, texts }: Tokens, { meant, depths, levels }: Layout): Pieces {
  const starts = new Int32Array(at);
  const shapes = new Int32Array(words.length);
  const isConstant = texts.map((word) => /^(?:null|true|false)$/i.test(word));
  const is = (token: number, marks: string): boolean => {
    const word = texts[words[token] ?? LITERAL] ?? '';
    return word.length === 1 && marks.includes(word);
  };
  const pieces: number[] = [];
  for (let token = 0; token < words.length; token++) {
    // After a dot it is a name.
    const word = isConstant[words[token] ?? LITERAL] && !is(token - 1, '.') ? LITERAL : (meant[token] ?? LITERAL);
    shapes[token] = word * levels + (depths[token] ?? 0);
    // In a list a sign belongs to its number, unless something binds the number closer.
    const isSigned = word === LITERAL && is(token - 1, '-') && is(token - 2, '(,[') && is(token + 1, '),]');
    if (isSigned && /[\d.]/.test(text[starts[token] ?? 0] ?? '')) starts[token] = starts[pieces.pop() ?? token] ?? 0;
    pieces.push(token);
  }
  return { pieces, starts, shapes };
}

interface Cutting {
  readonly shapes: Int32Array;
  /** Pieces of one repetition. */
  readonly periodMax: number;
  /** By shape, where it was last; for use in here. */
  readonly last: Int32Array;
  readonly isLiteral: (piece: number) => boolean;
  readonly mustStay: (piece: number) => boolean;
  /** Told of each piece that is left out, and of the one that is kept in its place. */
  readonly noteLeftOut: (piece: number, kept: number) => void;
}

/**
 * A piece that does not go on with the repetition at hand may begin another, whose period is the distance to where its like was last.
 * Names alone (of the columns of an alias, say) are no repetition. Undefined if something that would be left out must stay.
 */
function withoutRepeats(
  pieces: readonly number[],
  { shapes, periodMax, last, isLiteral, mustStay, noteLeftOut }: Cutting,
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
      if (copies > KEPT && pieces.slice(start, start + period).some(isLiteral)) {
        const end = start + (copies - 1) * period;
        keep(start + (KEPT - 1) * period);
        for (let left = start + (KEPT - 1) * period; left < end; left++) {
          if (mustStay(pieces[left] ?? 0)) return undefined;
          noteLeftOut(pieces[left] ?? 0, pieces[start + ((left - start) % period)] ?? 0);
        }
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
