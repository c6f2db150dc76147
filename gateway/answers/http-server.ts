import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { createAdaptorServer } from '@hono/node-server';
import type { Logger } from '../core/logger.js';
import { listenError } from '../core/port-holder.js';
import type { GatewayView } from '../core/view.js';
import { buildApp } from './routes.js';

/** Connections at once; people, scripts and one Prometheus need a handful. Bounds memory. */
const CONNECTIONS_MAX = 256;

/** A client must have sent its headers, and its whole request, within these. */
const HEADERS_TIMEOUT_MS = 10_000;
const REQUEST_TIMEOUT_MS = 30_000;

/** Answers under way get this long when the gateway stops. */
const CLOSE_GRACE_MS = 2_000;

export interface HttpOptions {
  readonly host: string;
  /** 0 takes a free port. */
  readonly port: number;
  /** Bearer token of the API. */
  readonly token: string;
  /** Address at which others reach it; "" for none. */
  readonly publicUrl?: string;
  readonly view: GatewayView;
  readonly logger: Logger;
}

export interface HttpServer {
  /** Port that it listens on. */
  readonly port: number;
  /** Takes no more requests, gives those under way two seconds, then cuts them off. */
  close(): Promise<void>;
}

/**
 * Starts the HTTP API and the status page.
 *
 * @throws WaystoneError PORT_TAKEN with the holder's name, PORT_FORBIDDEN, ADDRESS_UNAVAILABLE or
 *   LISTEN_FAILED.
 */
export async function startHttp(options: HttpOptions): Promise<HttpServer> {
  const { host, port, logger } = options;
  const app = buildApp(options, options);
  const server = createAdaptorServer({
    fetch: app.fetch,
    // The gateway's own fetch and Request stay those of Node.
    overrideGlobalObjects: false,
    serverOptions: { headersTimeout: HEADERS_TIMEOUT_MS, requestTimeout: REQUEST_TIMEOUT_MS },
  }) as Server;
  server.maxConnections = CONNECTIONS_MAX;

  try {
    await new Promise<void>((done, fail) => {
      server.once('error', fail);
      server.listen(port, host, () => {
        server.off('error', fail);
        done();
      });
    });
  } catch (error) {
    throw await listenError(error, host, port, 'http');
  }
  server.on('error', (err) => logger.error({ err }, 'HTTP server failed'));

  let closed: Promise<void> | undefined;
  return {
    port: (server.address() as AddressInfo).port,
    close: () => {
      closed ??= close(server);
      return closed;
    },
  };
}

async function close(server: Server): Promise<void> {
  const ended = new Promise<void>((done) => server.close(() => done()));
  server.closeIdleConnections();
  const cut = setTimeout(() => server.closeAllConnections(), CLOSE_GRACE_MS);
  await ended;
  clearTimeout(cut);
}
