/** The HTTP API and the status page of a running gateway. */
export { type HttpOptions, type HttpServer, startHttp } from './http-server.js';
