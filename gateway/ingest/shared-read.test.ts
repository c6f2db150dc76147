import { once } from 'node:events';
import net from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { sharedReader } from './shared-read.js';

const closers: (() => void)[] = [];
afterEach(() => {
  for (const close of closers.splice(0)) close();
});

/** Clients and the accepted ends of their connections, which are read with one reader. */
async function pairs(count: number, change: (socket: net.Socket) => void = () => undefined) {
  const server = net.createServer();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  closers.push(() => server.close());
  const read = new Map<net.Socket, Buffer[]>();
  const reader = sharedReader((socket, chunk) => read.get(socket)?.push(chunk));
  const opened: { client: net.Socket; socket: net.Socket; chunks: Buffer[]; how: string }[] = [];
  for (let k = 0; k < count; k++) {
    const client = net.connect((server.address() as net.AddressInfo).port, '127.0.0.1');
    client.setNoDelay(true);
    const [socket] = (await once(server, 'connection')) as [net.Socket];
    const chunks: Buffer[] = [];
    read.set(socket, chunks);
    change(socket);
    opened.push({ client, socket, chunks, how: reader(socket) });
    closers.push(() => {
      client.destroy();
      socket.destroy();
    });
  }
  return opened;
}

const sizeOf = (chunks: readonly Buffer[]) => chunks.reduce((sum, { length }) => sum + length, 0);

async function until(condition: () => boolean): Promise<void> {
  const end = Date.now() + 10_000;
  while (!condition()) {
    if (Date.now() > end) throw new Error('waited in vain');
    await new Promise((resolve) => setImmediate(resolve));
  }
}

describe('a shared read buffer', () => {
  it('is what accepted sockets are read into on the Node that runs this', async () => {
    const [one, two] = await pairs(2);
    expect([one?.how, two?.how]).toEqual(['shared', 'shared']);
    one?.client.write('first');
    await until(() => one?.chunks.length === 1);
    expect(one?.chunks[0]?.toString()).toBe('first');
    two?.client.write('other');
    await until(() => two?.chunks.length === 1);
    // The same bytes: what one socket has read is gone once another one reads.
    expect(two?.chunks[0]?.buffer).toBe(one?.chunks[0]?.buffer);
    expect(one?.chunks[0]?.toString()).toBe('other');
  });

  it('brings every byte in order, and the end', async () => {
    const [pair] = await pairs(1);
    const { client, socket } = pair as NonNullable<typeof pair>;
    const sent = Buffer.from(Array.from({ length: 300_000 }, (_, k) => (k * 31) & 255));
    const got: Buffer[] = [];
    const chunks = (pair as NonNullable<typeof pair>).chunks;
    // Copied as it comes.
    Object.defineProperty(chunks, 'push', {
      value: (chunk: Buffer) => got.push(Buffer.from(chunk)),
    });
    const ended = once(socket, 'end');
    client.end(sent);
    await ended;
    expect(Buffer.concat(got).equals(sent)).toBe(true);
  });

  it('is not read into while the socket is paused', async () => {
    const [pair] = await pairs(1);
    const { client, socket, chunks } = pair as NonNullable<typeof pair>;
    socket.pause();
    client.write(Buffer.alloc(1_000));
    const passed = await pairs(1);
    passed[0]?.client.write('x');
    await until(() => passed[0]?.chunks.length === 1);
    expect(chunks).toEqual([]);
    socket.resume();
    await until(() => sizeOf(chunks) === 1_000);
  });

  it('gives way to data events where Node has no such thing, or the socket is no plain one', async () => {
    class Other extends net.Socket {}
    const changes = [
      (socket: net.Socket) => {
        const { _handle: handle } = socket as unknown as { _handle: object };
        Object.defineProperty(handle, 'useUserBuffer', { value: undefined });
      },
      (socket: net.Socket) => Object.setPrototypeOf(socket, Other.prototype),
    ];
    for (const change of changes) {
      const [pair] = await pairs(1, change);
      const { client, chunks, how } = pair as NonNullable<typeof pair>;
      expect(how).toBe('events');
      client.write('as before');
      await until(() => sizeOf(chunks) === 9);
      expect(Buffer.concat(chunks).toString()).toBe('as before');
    }
  });
});
