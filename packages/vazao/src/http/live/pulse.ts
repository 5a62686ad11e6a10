/**
 * One timer for all streams. It goes round in as many steps as a silence has, and each stream has its step, drawn at random:
 * so each hears of us once a round, and never all at once.
 */
import type { ResolvedLiveOptions } from './options.ts';
import type { LiveStream } from './stream.ts';

const STEPS = 20;

export class Pulse {
  readonly #options: Pick<ResolvedLiveOptions, 'heartbeatMs' | 'random'>;
  readonly #onBeat: () => void;
  readonly #onRound: (stream: LiveStream) => void;
  readonly #onExpired: (stream: LiveStream) => void;
  readonly #steps = Array.from({ length: STEPS }, () => new Set<LiveStream>());
  readonly #expiring = new Set<LiveStream>();
  #streams = 0;
  #step = 0;
  #timer: NodeJS.Timeout | undefined;

  /**
   * @param onBeat - called at each step
   * @param onRound - called for each stream once a round
   */
  constructor(
    options: Pick<ResolvedLiveOptions, 'heartbeatMs' | 'random'>,
    onBeat: () => void,
    onRound: (stream: LiveStream) => void,
    onExpired: (stream: LiveStream) => void,
  ) {
    this.#options = options;
    this.#onBeat = onBeat;
    this.#onRound = onRound;
    this.#onExpired = onExpired;
  }

  /** Returns what takes the stream out again. */
  add(stream: LiveStream): () => void {
    const step = this.#steps[Math.floor(this.#options.random() * STEPS) % STEPS] as Set<LiveStream>;
    step.add(stream);
    if (Number.isFinite(stream.expiresAt)) this.#expiring.add(stream);
    this.#streams++;
    this.#timer ??= setInterval(() => this.#beat(), this.#options.heartbeatMs / STEPS).unref();
    return () => {
      if (!step.delete(stream)) return;
      this.#expiring.delete(stream);
      if (--this.#streams === 0) this.close();
    };
  }

  close(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  #beat(): void {
    this.#step = (this.#step + 1) % STEPS;
    for (const stream of this.#steps[this.#step] as Set<LiveStream>) {
      stream.whisper();
      this.#onRound(stream);
    }
    const now = Date.now();
    for (const stream of this.#expiring) if (now >= stream.expiresAt) this.#onExpired(stream);
    this.#onBeat();
  }
}
