/** What a client keeps for its next conditional request, as a browser does: the `ETag`, and what the answer showed. */
import type { CompiledReader, Understood } from './compiled-reader.ts';

export interface Held {
  readonly etag: string;
  readonly understood: Understood;
}

export class HeldAnswers {
  readonly #held = new Map<CompiledReader, Held>();

  find(reader: CompiledReader): Held | undefined {
    return this.#held.get(reader);
  }

  keep(reader: CompiledReader, etag: string | undefined, understood: Understood): void {
    if (etag === undefined) this.#held.delete(reader);
    else this.#held.set(reader, { etag, understood });
  }
}
