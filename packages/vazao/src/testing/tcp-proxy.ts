/** The proxy of `vazao torture`, for tests. */
export { startTcpProxy, type TcpProxy, type Which } from '../torture/parts/tcp-proxy.ts';
