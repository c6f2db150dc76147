import { createPrivateKey, createPublicKey, generateKeyPairSync, sign } from 'node:crypto';
import {
  concatBytes,
  encodeFrame,
  encodeStatement,
  FRAME_FORMAT,
  type Frame,
  type KeyType,
  keyId,
  leafHash,
  normaliseSignature,
  type PublicKey,
  sha256,
  statementHash,
  TIME_BASES,
  treeRoot,
  wire,
} from '@waystone/proto';
import secp256k1 from 'secp256k1/bindings.js';
import sodium from 'sodium-native';

/** Signs as a device does, with the fastest library for its key type. */
export interface FastKey {
  readonly publicKey: PublicKey;
  /** 64 bytes over `message`, low S. */
  sign(message: Uint8Array): Uint8Array;
}

/** A key of the bench, the same for the same number. */
export function fastKey(type: KeyType, number: number): FastKey {
  const seed = sha256(Buffer.from(`waystone bench ${type} ${number}`));
  if (type === 'Ed25519') {
    const publicKey = Buffer.alloc(32);
    const secret = Buffer.alloc(64);
    sodium.crypto_sign_seed_keypair(publicKey, secret, Buffer.from(seed));
    return {
      publicKey: { type, bytes: new Uint8Array(publicKey) },
      sign(message) {
        const signature = Buffer.alloc(64);
        sodium.crypto_sign_detached(signature, Buffer.from(message), secret);
        return signature;
      },
    };
  }
  if (type === 'secp256k1') {
    return {
      publicKey: { type, bytes: secp256k1.publicKeyCreate(seed, true) },
      // Low S by itself.
      sign: (message) => secp256k1.ecdsaSign(sha256(message), seed).signature,
    };
  }
  const pair = generateKeyPairSync('ec', { namedCurve: 'prime256v1' });
  const key = createPrivateKey(pair.privateKey.export({ format: 'pem', type: 'pkcs8' }));
  const jwk = createPublicKey(key).export({ format: 'jwk' });
  const y = Buffer.from(jwk.y as string, 'base64url');
  const bytes = concatBytes(
    Uint8Array.of(((y.at(-1) as number) & 1) === 1 ? 3 : 2),
    Buffer.from(jwk.x as string, 'base64url'),
  );
  return {
    publicKey: { type, bytes },
    sign: (message) =>
      normaliseSignature(type, sign('sha256', message, { key, dsaEncoding: 'ieee-p1363' })),
  };
}

/** A mapper's frame at 10 Hz: position, motion, four inertial samples; about 195 bytes. */
export function mapperFrame(number: number, timeUs: number): Frame {
  return {
    salt: sha256(Buffer.from(`salt ${number}`)).subarray(0, 16),
    timeUs,
    clock: { source: wire.TimeSource.TIME_SOURCE_GNSS, leapSeconds: 18, accuracyNs: 40 },
    position: {
      latitudeE9: 37_774_900_000 + number * 900,
      longitudeE9: -122_419_400_000 - number * 1100,
      heightEllipsoidMm: 12_345 + (number % 100),
      fix: wire.FixType.FIX_TYPE_RTK_FIXED,
      hdopE2: 70,
      satellitesUsed: 24,
    },
    motion: {
      groundSpeedMmS: 13_900 + (number % 50),
      courseE5: 8_400_000,
      velocityEastMmS: -13_000,
    },
    imu: Array.from({ length: 4 }, (_, k) => ({
      offsetUs: k * 2500,
      accelerationMS2: [0.1, -0.2, 9.81],
      ...(k < 2 ? { angularRateRadS: [0.001, 0.002, 0.01] } : {}),
    })),
  };
}

export interface FrameBlock {
  readonly count: number;
  readonly bytes: Uint8Array;
  readonly frameBytes: number;
  readonly root: Uint8Array;
  readonly minTimeUs: number;
  readonly maxTimeUs: number;
}

/** Blocks of frames that envelopes take in turn: signing is what makes each envelope new. */
const BLOCKS = 16;

function frameBlock(number: number, count: number, timeUs: number): FrameBlock {
  const frames = Array.from({ length: count }, (_, k) =>
    encodeFrame(mapperFrame(number * count + k, timeUs + k * 100_000)),
  );
  const parts = frames.flatMap((frame) => {
    const length = Buffer.alloc(4);
    length.writeUInt32BE(frame.length);
    return [length, frame];
  });
  return {
    count,
    bytes: concatBytes(...parts),
    frameBytes: frames.reduce((sum, { length }) => sum + length, 0),
    root: treeRoot(frames.map(leafHash)),
    minTimeUs: timeUs,
    maxTimeUs: timeUs + (count - 1) * 100_000,
  };
}

/** Makes signed envelopes of one device in one session, in sequence. */
export class EnvelopeSource {
  readonly #key: FastKey;
  readonly #keyId: Uint8Array;
  readonly #realm: Uint8Array;
  readonly #session: Uint8Array;
  readonly #blocks: readonly FrameBlock[];
  #made = 0;
  #sequence = 0;
  #previous = new Uint8Array(32);

  constructor(options: {
    key: FastKey;
    realm: Uint8Array;
    session: Uint8Array;
    blocks: readonly FrameBlock[];
  }) {
    this.#key = options.key;
    this.#keyId = keyId(options.key.publicKey);
    this.#realm = options.realm;
    this.#session = options.session;
    this.#blocks = options.blocks;
  }

  /** Parts of the next envelope: what comes before its frames, and the frames. */
  next(): { head: Uint8Array; frames: Uint8Array } {
    const block = this.#blocks[this.#made++ % this.#blocks.length] as FrameBlock;
    const { count } = block;
    const statement = encodeStatement({
      realm: this.#realm,
      device: this.#keyId,
      session: this.#session,
      stream: 1,
      format: FRAME_FORMAT,
      timeBase: TIME_BASES.utc,
      flags: 0,
      firstSequence: this.#sequence,
      count,
      minTimeUs: block.minTimeUs,
      maxTimeUs: block.maxTimeUs,
      framesRoot: block.root,
      previous: this.#previous,
    });
    this.#sequence += count;
    this.#previous = new Uint8Array(statementHash(statement));
    return {
      head: concatBytes(ENVELOPE_PREAMBLE, statement, this.#key.sign(statement)),
      frames: block.bytes,
    };
  }
}

/** "WSEN", version 1. */
const ENVELOPE_PREAMBLE = Uint8Array.of(0x57, 0x53, 0x45, 0x4e, 0, 1, 0, 0);

/** Blocks of `count` frames each, dated a minute back. */
export function frameBlocks(count: number): FrameBlock[] {
  const timeUs = Math.floor(Date.now() / 100 - 600 - count) * 100_000;
  return Array.from({ length: BLOCKS }, (_, number) => frameBlock(number, count, timeUs));
}
