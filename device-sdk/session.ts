import { randomBytes } from 'node:crypto';
import { requireLength, SESSION_BYTES } from '@waystone/proto';

/**
 * One start of a device: 16 random bytes, and a counter that rises with every login and hello.
 *
 * Sequences rise within a session, so nothing has to be remembered from one start to the next.
 */
export class Session {
  readonly id: Uint8Array;
  #counter = 0;

  /** @param id 16 bytes, random unless a test needs known ones; never use a session twice. */
  constructor(id: Uint8Array = randomBytes(SESSION_BYTES)) {
    requireLength('session', id, SESSION_BYTES);
    this.id = new Uint8Array(id);
  }

  /** The next number for a login token or a hello: 1, 2, 3 … */
  nextCounter(): number {
    this.#counter += 1;
    return this.#counter;
  }
}
