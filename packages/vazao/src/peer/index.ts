/** Optional packages, loaded when they are used. */
export { loadPeer, PeerError } from './load-peer.ts';
