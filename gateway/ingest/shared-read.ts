import { Socket } from 'node:net';

/** What all accepted sockets are read into, one after the other; as large as what Node reads at once. */
const READ_BUFFER = Buffer.allocUnsafeSlow(64 * 1024);

/** Takes what a socket has read: a view that is good until it returns, since the next socket is read into the same bytes. */
type TakeRead = (socket: Socket, chunk: Buffer) => void;

/** The fields of a socket that hold its `onread` option, as Node's `net` names them. */
interface OnReadFields {
  readonly buffer: symbol;
  readonly callback: symbol;
}

/** Node's stream of a TCP connection, as far as it is used here. */
interface TcpHandle {
  useUserBuffer?(buffer: Uint8Array): void;
}

/**
 * Makes a function that has accepted sockets read into one buffer for all where that can be had, else by their `data`
 * events; it says which. Node takes 64 KiB for each read, cuts them to what has come and leaves them to the collector:
 * where a read is one small packet, that costs more than the packet does. It has an option against that (`onread`) for
 * sockets that connect; an accepted one is given here what that option sets. These names are no public API of Node:
 * where one of them is missing, there are `data` events.
 */
export function sharedReader(take: TakeRead): (socket: Socket) => 'shared' | 'events' {
  const fields = onReadFields();
  const onData = function (this: Socket, chunk: Buffer): void {
    take(this, chunk);
  };
  const onRead = function (this: Socket, bytes: number): void {
    take(this, READ_BUFFER.subarray(0, bytes));
  };
  return (socket) => {
    const { _handle: handle } = socket as unknown as { _handle?: TcpHandle | null };
    // A TLS socket's handle holds what is still encrypted.
    const isPlain = Object.getPrototypeOf(socket) === Socket.prototype;
    if (fields === null || !isPlain || typeof handle?.useUserBuffer !== 'function') {
      socket.on('data', onData);
      return 'events';
    }
    Object.assign(socket, { [fields.buffer]: READ_BUFFER, [fields.callback]: onRead });
    handle.useUserBuffer(READ_BUFFER);
    socket.resume();
    return 'shared';
  };
}

function onReadFields(): OnReadFields | null {
  const symbols = Object.getOwnPropertySymbols(new Socket());
  const named = (name: string): symbol | undefined =>
    symbols.find(({ description }) => description === name);
  const buffer = named('kBuffer');
  const callback = named('kBufferCb');
  return buffer === undefined || callback === undefined ? null : { buffer, callback };
}
