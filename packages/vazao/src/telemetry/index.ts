/** Figures of the processes that serve, for whoever watches them. */
export type { SeatFigures } from './metrics.ts';
export { registerMetrics } from './metrics-route.ts';
export { createCollector, type ProcessFigures } from './process-figures.ts';
