import { randomBytes } from 'node:crypto';
import {
  didFromKey,
  encodeLoginToken,
  type KeyType,
  LOCAL_REALM,
  loginTokenInput,
  topicIdFromDid,
  topicOf,
} from '@waystone/proto';
import { generate, type IConnectPacket } from 'mqtt-packet';
import { EnvelopeSource, type FastKey, fastKey, frameBlocks } from '../bench/load/envelopes.js';
import { mutated, randomBytesFrom } from './mutate.js';
import type { Random } from './random.js';

/** Envelopes that mutations start from. */
const BASES = 64;

/** Where the statement, the signature and the frames begin in an envelope. */
const STATEMENT_AT = 8;
const SIGNATURE_AT = 208;
const FRAMES_AT = 272;

const BLOCKS = frameBlocks(2);

/** An enrolled device that logs in rightly and publishes wrong envelopes. It signs fast. */
export class FuzzDevice {
  readonly did: string;
  readonly topicId: string;
  readonly #key: FastKey;
  readonly #gateway: string;
  readonly #session = randomBytes(16);
  readonly #bases: Buffer[];
  #counter = 0;

  constructor(gateway: string, type: KeyType, number: number) {
    this.#gateway = gateway;
    this.#key = fastKey(type, number);
    this.did = didFromKey(this.#key.publicKey);
    this.topicId = topicIdFromDid(this.did);
    const source = new EnvelopeSource({
      key: this.#key,
      realm: LOCAL_REALM,
      session: this.#session,
      blocks: BLOCKS,
    });
    this.#bases = Array.from({ length: BASES }, () => {
      const { head, frames } = source.next();
      return Buffer.concat([head, frames]);
    });
  }

  topic(channel: 'up' | 'hello' | 'receipt' | 'config'): string {
    return topicOf(this.topicId, channel);
  }

  /** A right CONNECT, with fields replaced. */
  connect(fields: Partial<IConnectPacket> = {}): Buffer {
    this.#counter += 1;
    const input = loginTokenInput(this.#key.publicKey.type, {
      device: this.did,
      gateway: this.#gateway,
      session: this.#session,
      counter: this.#counter,
    });
    return generate({
      cmd: 'connect',
      protocolId: 'MQTT',
      protocolVersion: 4,
      clean: true,
      keepalive: 60,
      clientId: this.topicId,
      username: this.topicId,
      password: Buffer.from(encodeLoginToken(input, this.#key.sign(input))),
      ...fields,
    });
  }

  /** A wrong envelope; now and then one of which only the device's maker would say that it is wrong. */
  envelope(random: Random): Buffer {
    const base = this.#bases[random.below(BASES)] as Buffer;
    const part = (from: number, to = base.length) => base.subarray(from, to);
    switch (random.below(8)) {
      case 0: // A statement that is wrong and signed.
        return this.#signed(base, mutated(part(STATEMENT_AT, SIGNATURE_AT), random));
      case 1: // One of the right length that is wrong and signed.
        return this.#signed(base, sameLength(part(STATEMENT_AT, SIGNATURE_AT), random));
      case 2: // Its signature.
        return Buffer.concat([
          part(0, SIGNATURE_AT),
          sameLength(part(SIGNATURE_AT, FRAMES_AT), random),
          part(FRAMES_AT),
        ]);
      case 3: // Its frames.
        return Buffer.concat([part(0, FRAMES_AT), mutated(part(FRAMES_AT), random)]);
      case 4: // A frame's length.
        return withLength(Buffer.from(base), random);
      case 5: // Whatever.
        return randomBytesFrom(random, random.below(600));
      default:
        return mutated(base, random);
    }
  }

  #signed(base: Buffer, statement: Buffer): Buffer {
    return Buffer.concat([
      base.subarray(0, STATEMENT_AT),
      statement,
      this.#key.sign(statement),
      base.subarray(FRAMES_AT),
    ]);
  }
}

function sameLength(bytes: Buffer, random: Random): Buffer {
  const changed = Buffer.from(bytes);
  for (let k = 1 + random.below(3); k > 0; k--) {
    const at = random.below(changed.length);
    changed[at] = (changed[at] as number) ^ (1 + random.below(255));
  }
  return changed;
}

function withLength(envelope: Buffer, random: Random): Buffer {
  const lengths = [0, 1, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff, random.below(1000)];
  envelope.writeUInt32BE(lengths[random.below(lengths.length)] as number, FRAMES_AT);
  return envelope;
}
