import { readFileSync } from 'node:fs';
import net from 'node:net';
import tls from 'node:tls';
import type { Code } from '@waystone/proto';
import type { Logger } from '../core/logger.js';
import { listenError } from '../core/port-holder.js';

export interface ListenerOptions {
  readonly host: string;
  /** 0 takes a free port. */
  readonly port: number;
  readonly tlsCertificateFile?: string;
  readonly tlsKeyFile?: string;
  readonly connectionsMax: number;
}

/** The TCP or TLS port that devices connect to. */
export class Listener {
  readonly #server: net.Server;

  private constructor(server: net.Server) {
    this.#server = server;
  }

  /** @throws WaystoneError PORT_TAKEN, or what keeps the TLS files from being read. */
  static async start(
    options: ListenerOptions,
    deps: { logger: Logger; count: (code: Code) => void; accept: (socket: net.Socket) => void },
  ): Promise<Listener> {
    const { host, port, connectionsMax, tlsCertificateFile, tlsKeyFile } = options;
    const server =
      tlsCertificateFile !== undefined && tlsKeyFile !== undefined
        ? tls.createServer(
            { cert: readFileSync(tlsCertificateFile), key: readFileSync(tlsKeyFile) },
            deps.accept,
          )
        : net.createServer(deps.accept);
    server.maxConnections = connectionsMax;
    server.on('drop', () => {
      deps.count('OVERLOADED');
      deps.logger.warn(
        { code: 'OVERLOADED', connectionsMax },
        'connection refused: too many at once; raise mqtt.connectionsMax',
      );
    });
    server.on('tlsClientError', (error: Error) =>
      deps.logger.info({ error: error.message }, 'TLS handshake failed'),
    );
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen({ host, port }, resolve);
    }).catch(async (error) => {
      throw await listenError(error, host, port, 'mqtt');
    });
    return new Listener(server);
  }

  get port(): number {
    return (this.#server.address() as net.AddressInfo).port;
  }

  /** Takes no more connections; resolves once all are closed. */
  async stop(): Promise<void> {
    await new Promise<void>((resolve) => this.#server.close(() => resolve()));
  }
}
