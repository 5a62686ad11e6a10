/** When tags were last revalidated (`revalidateTag`, `revalidatePath`), in the order of revalidations of this process. */

const TAGS_MAX = 10_000;

export class Tags {
  /** Those revalidated longest ago come first. */
  readonly #revalidated = new Map<string, number>();
  #count = 0;
  /** Of the last one that was forgotten. */
  #forgottenUpTo = 0;

  /** Counts revalidations: what is made from now on is older than the next. */
  get count(): number {
    return this.#count;
  }

  revalidate(tags: readonly string[]): void {
    this.#count++;
    for (const tag of tags) {
      this.#revalidated.delete(tag);
      this.#revalidated.set(tag, this.#count);
    }
    for (const [tag, at] of this.#revalidated) {
      if (this.#revalidated.size <= TAGS_MAX) break;
      this.#revalidated.delete(tag);
      this.#forgottenUpTo = at;
    }
  }

  /** Whether one of them was revalidated since; a tag that is not remembered may have been. */
  haveBeenRevalidated(tags: readonly string[], madeAt: number): boolean {
    return tags.some((tag) => (this.#revalidated.get(tag) ?? this.#forgottenUpTo) > madeAt);
  }
}
