/** Hot answers, computed ahead of their next reader. */
export { Refresher, type RefreshFigures, type RefreshOptions } from './refresher.ts';
