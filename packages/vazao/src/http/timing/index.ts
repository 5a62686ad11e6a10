/** Where the time of a request goes: for callers who may see it, and for whoever subscribes. */
export { type RequestEvent, requestChannel } from './request-channel.ts';
export { RequestTimings } from './request-timings.ts';
export { createTimingToken, createVisibility, type TimingOptions } from './visibility.ts';
