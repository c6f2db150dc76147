import { readdir, readFile, readlink } from 'node:fs/promises';
import { messageOf, WaystoneError } from './errors.js';

/** State of a listening socket in /proc/net/tcp (include/net/tcp_states.h, TCP_LISTEN). */
const LISTEN = '0A';

/**
 * Names the process that listens on a TCP port, as "mosquitto (pid 812)".
 *
 * Linux only, from /proc; "an unknown process" elsewhere, and where the holder belongs to another user,
 * whose file descriptors only root may read.
 */
export async function portHolder(port: number): Promise<string> {
  try {
    const inodes = await listeningInodes(port);
    const found = inodes.size === 0 ? null : await processWithSocket(inodes);
    return found ?? 'an unknown process';
  } catch {
    return 'an unknown process';
  }
}

/**
 * Turns the error of a failed `listen` into one that says what to do.
 *
 * @param what Section of the configuration that holds host and port.
 * @returns PORT_TAKEN, PORT_FORBIDDEN, ADDRESS_UNAVAILABLE or, for anything else, LISTEN_FAILED.
 */
export async function listenError(
  error: unknown,
  host: string,
  port: number,
  what: 'mqtt' | 'http',
): Promise<WaystoneError> {
  const address = `${what.toUpperCase()} address ${host.includes(':') ? `[${host}]` : host}:${port}`;
  const options = { cause: error };
  switch ((error as NodeJS.ErrnoException | null)?.code) {
    case 'EADDRINUSE':
      return new WaystoneError(
        'PORT_TAKEN',
        `${address} is taken by ${await portHolder(port)}; stop it, or set another ${what}.port`,
        options,
      );
    case 'EACCES':
      return new WaystoneError(
        'PORT_FORBIDDEN',
        `${address} needs rights that this user lacks; set ${what}.port to 1024 or above`,
        options,
      );
    case 'EADDRNOTAVAIL':
    case 'ENOTFOUND':
    case 'EAI_AGAIN':
      return new WaystoneError(
        'ADDRESS_UNAVAILABLE',
        `${address} is not an address of this machine; set ${what}.host to one that is`,
        options,
      );
    default:
      return new WaystoneError(
        'LISTEN_FAILED',
        `${address} cannot be used: ${messageOf(error)}`,
        options,
      );
  }
}

async function listeningInodes(port: number): Promise<Set<string>> {
  const hexPort = port.toString(16).toUpperCase().padStart(4, '0');
  const inodes = new Set<string>();
  for (const table of ['/proc/net/tcp', '/proc/net/tcp6']) {
    // A kernel without IPv6 has no tcp6.
    const text = await readFile(table, 'utf8').catch(() => '');
    for (const line of text.split('\n').slice(1)) {
      // proc(5): slot, local address:port, remote, state, …, the inode is the tenth column.
      const columns = line.trim().split(/\s+/);
      const inode = columns[9];
      if (inode === undefined || columns[3] !== LISTEN) continue;
      if (columns[1]?.endsWith(`:${hexPort}`)) inodes.add(inode);
    }
  }
  return inodes;
}

async function processWithSocket(inodes: ReadonlySet<string>): Promise<string | null> {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name));
  for (const pid of pids) {
    // Processes end while we look, and those of other users are closed to us: both are skipped.
    const descriptors = await readdir(`/proc/${pid}/fd`).catch(() => []);
    for (const descriptor of descriptors) {
      const target = await readlink(`/proc/${pid}/fd/${descriptor}`).catch(() => '');
      const inode = /^socket:\[(\d+)\]$/.exec(target)?.[1];
      if (inode === undefined || !inodes.has(inode)) continue;
      const name = (await readFile(`/proc/${pid}/comm`, 'utf8').catch(() => '')).trim();
      return `${name === '' ? 'a process' : name} (pid ${pid})`;
    }
  }
  return null;
}
