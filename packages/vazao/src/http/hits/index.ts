export { installHitListener } from './listener.ts';
