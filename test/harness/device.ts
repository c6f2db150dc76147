import { randomBytes } from 'node:crypto';
import { DeviceKey, EnvelopeBuilder, Session } from '@waystone/device-sdk';
import {
  concatBytes,
  encodeFrame,
  encodeLoginToken,
  encodeSignedMessage,
  encodeStatement,
  FRAME_FORMAT,
  type Frame,
  fromHex,
  HASH_BYTES,
  type Hello,
  type KeyType,
  keyFromDid,
  keyId,
  LOCAL_REALM,
  type LoginToken,
  leafHash,
  loginTokenInput,
  type Statement,
  signedMessageInput,
  TIME_BASES,
  topicIdFromDid,
  treeRoot,
  wire,
} from '@waystone/proto';

/** Overrides of what a test envelope is made of; what is left out is right. */
export interface EnvelopeParts {
  /** The frames' bytes; default one small frame. */
  readonly frames?: readonly Uint8Array[];
  /** Time of the default frame, µs UTC; default now. */
  readonly timeUs?: number;
  /** Fields of the statement that are set after everything else was computed. */
  readonly statement?: Partial<Statement>;
  /** Changes the statement's bytes before they are signed. */
  readonly editStatement?: (bytes: Uint8Array) => void;
  /** Changes the signature. */
  readonly editSignature?: (signature: Uint8Array) => Uint8Array;
  /** Frames that are sent instead of those that the statement commits to. */
  readonly sentFrames?: readonly Uint8Array[];
}

/** A frame's bytes with a random salt. */
export function frame(fields: Frame = {}): Uint8Array {
  return encodeFrame({ salt: randomBytes(16), timeUs: Date.now() * 1000, ...fields });
}

/** Length u32 ‖ bytes of each frame. */
function joinFrames(frames: readonly Uint8Array[]): Uint8Array {
  const parts: Uint8Array[] = [];
  for (const bytes of frames) {
    const length = Buffer.alloc(4);
    length.writeUInt32BE(bytes.length);
    parts.push(length, bytes);
  }
  return concatBytes(...parts);
}

/**
 * A device that makes right and wrong things by hand, where the SDK's {@link Device} would only make right
 * ones. It keeps session, counter and next sequence.
 */
export class TestDevice {
  readonly key: DeviceKey;
  readonly gateway: string;
  session: Uint8Array = randomBytes(16);
  counter = 0;
  sequence = 0;

  /** @param gateway did:key of the gateway that it talks to. */
  constructor(gateway: string, type: KeyType = 'secp256k1') {
    this.key = DeviceKey.generate(type);
    this.gateway = gateway;
  }

  get did(): string {
    return this.key.did;
  }

  /** Client id, and the device's part of topics. */
  get topicId(): string {
    return topicIdFromDid(this.key.did);
  }

  get keyId(): Uint8Array {
    return keyId(this.key.publicKey);
  }

  /** A login token for the next counter, with fields replaced. */
  async loginToken(fields: Partial<LoginToken> = {}): Promise<string> {
    this.counter += 1;
    const input = loginTokenInput(this.key.publicKey.type, {
      device: this.did,
      gateway: this.gateway,
      session: this.session,
      counter: this.counter,
      ...fields,
    });
    return encodeLoginToken(input, await this.sign(input));
  }

  /** Raw signature by the device's rule. */
  async sign(message: Uint8Array): Promise<Uint8Array> {
    return this.key.sign({ message, digest: new Uint8Array(HASH_BYTES) });
  }

  /** A signed hello for the next counter, with fields replaced. */
  async hello(fields: Hello = {}): Promise<Uint8Array> {
    this.counter += 1;
    const body = wire.Hello.encode({
      state: wire.Hello.State.STATE_ONLINE,
      session: this.session,
      counter: this.counter,
      software: 'waystone test',
      ...fields,
    }).finish();
    const receiver = keyId(keyFromDid(this.gateway));
    const input = signedMessageInput('hello', this.keyId, receiver, body);
    return encodeSignedMessage('hello', body, await this.sign(input));
  }

  /** An envelope of the next sequences; each part can be made wrong. */
  async envelope(parts: EnvelopeParts = {}): Promise<Uint8Array> {
    const timeUs = parts.timeUs ?? Date.now() * 1000;
    const frames = parts.frames ?? [frame({ timeUs })];
    const firstSequence = parts.statement?.firstSequence ?? this.sequence;
    const bytes = encodeStatement({
      realm: LOCAL_REALM,
      device: this.keyId,
      session: this.session,
      stream: 1,
      format: FRAME_FORMAT,
      timeBase: TIME_BASES.utc,
      flags: 0,
      firstSequence,
      count: frames.length,
      minTimeUs: timeUs,
      maxTimeUs: timeUs,
      framesRoot: treeRoot(frames.map((one) => leafHash(one))),
      previous: new Uint8Array(HASH_BYTES),
      ...parts.statement,
    });
    this.sequence = Math.max(this.sequence, firstSequence + frames.length);
    parts.editStatement?.(bytes);
    const signature = await this.sign(bytes);
    return concatBytes(
      fromHex('5753454e00010000'), // "WSEN", version 1
      bytes,
      parts.editSignature?.(signature) ?? signature,
      joinFrames(parts.sentFrames ?? frames),
    );
  }

  /** The SDK's builder with this device's key, in a session of its own. */
  builder(session = new Session()): EnvelopeBuilder {
    return new EnvelopeBuilder(this.key, session);
  }
}
