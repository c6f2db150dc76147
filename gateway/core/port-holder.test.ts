import { createServer, type Server } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { listenError, portHolder } from './port-holder.js';

describe('port holder', () => {
  let server: Server | undefined;
  afterEach(() => new Promise((done) => (server ? server.close(done) : done(undefined))));

  async function listen(port = 0, host = '127.0.0.1'): Promise<number> {
    const created = createServer();
    await new Promise<void>((done, fail) => {
      created.once('error', fail).listen(port, host, done);
    });
    server = created;
    return (created.address() as { port: number }).port;
  }

  it.runIf(process.platform === 'linux').each(['127.0.0.1', '::'])(
    'names the process and pid that listen on %s',
    async (host) => {
      expect(await portHolder(await listen(0, host))).toMatch(
        new RegExp(`^\\S.* \\(pid ${process.pid}\\)$`),
      );
    },
  );

  it('admits that it does not know who holds a free port', async () => {
    const port = await listen();
    await new Promise((done) => server?.close(done));
    server = undefined;
    expect(await portHolder(port)).toBe('an unknown process');
  });

  it('says which port is taken and which setting to change', async () => {
    const port = await listen();
    const failure = await listen(port).catch((error: unknown) => error);
    const error = await listenError(failure, '127.0.0.1', port, 'mqtt');
    expect(error.code).toBe('PORT_TAKEN');
    expect(error.message).toContain(`MQTT address 127.0.0.1:${port} is taken by `);
    expect(error.message).toContain('set another mqtt.port');
  });

  it.each([
    ['EACCES', 'PORT_FORBIDDEN'],
    ['EADDRNOTAVAIL', 'ADDRESS_UNAVAILABLE'],
    ['EMFILE', 'LISTEN_FAILED'],
  ])('turns %s into %s', async (errno, code) => {
    const cause = Object.assign(new Error(errno), { code: errno });
    const error = await listenError(cause, '::1', 80, 'http');
    expect(error.code).toBe(code);
    expect(error.message).toContain('HTTP address [::1]:80');
    expect(error.cause).toBe(cause);
  });
});
