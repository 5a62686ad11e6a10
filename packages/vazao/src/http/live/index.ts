/** Streams of events that follow cached answers. */
export { Live, type LiveFigures } from './live.ts';
export { EVENT_STREAM } from './negotiation.ts';
export type { LiveOptions } from './options.ts';
