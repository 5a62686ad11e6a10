/** Optional packages, loaded when they are used. */
export { assertPeer, loadPeer, PeerError } from './load-peer.ts';
