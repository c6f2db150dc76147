import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { equalBytes, fromHex } from './bytes.js';
import {
  checkpointFault,
  decodeCheckpoint,
  decodeLogRecord,
  decodeSignedCheckpoint,
} from './checkpoint.js';
import { decodeEntry } from './entry.js';
import { readEnvelope, splitFrames, statementBytesOf } from './envelope.js';
import { decodeFramesHeader } from './frames-file.js';
import { keyFromDid } from './keys.js';
import type { makeVectors } from './make-vectors.js';
import { decodeManifest } from './manifest.js';
import { decodeReceipt, decodeReceiptBody, receiptFault } from './receipt.js';
import { openSignedMessage } from './signed-message.js';
import { readStatement } from './statement.js';

/** Every reader of bytes from outside, with one valid input. Readers say no by a fault or a RangeError. */
interface Reader {
  name: string;
  valid: Uint8Array;
  /** Whether the bytes are accepted. Fixed-size readers take their caller's promise of the size. */
  accepts(bytes: Uint8Array): boolean;
  fixedSize?: true;
  /** Whether a signature or hash in the bytes covers all of them. */
  everyByteCounts?: true;
}

const vectors = JSON.parse(
  readFileSync(new URL('./vectors/v1.json', import.meta.url), 'utf8'),
) as ReturnType<typeof makeVectors>;
const bytesOf = (value: string | undefined): Uint8Array => fromHex((value ?? '').slice(2));
const gateway = keyFromDid(vectors.keys.gateway?.did as string);
const device = keyFromDid(vectors.keys.secp256k1?.did as string);
const framesFile = bytesOf(vectors.dataset.framesFile);
const run = vectors.dataset.entries[0];

const READERS: Reader[] = [
  {
    name: 'statement',
    valid: bytesOf(run?.statementBytes),
    accepts: (bytes) => readStatement(bytes).fault === undefined,
    fixedSize: true,
  },
  {
    name: 'entry',
    valid: bytesOf(run?.bytes),
    accepts: (bytes) => decodeEntry(bytes) !== undefined,
    fixedSize: true,
  },
  {
    name: 'envelope',
    valid: bytesOf(run?.envelope),
    accepts: (bytes) => readEnvelope(bytes).fault === undefined,
  },
  {
    name: 'receipt',
    valid: bytesOf(vectors.receipts.list[3]?.bytes),
    accepts: (bytes) => receiptFault(decodeReceipt(bytes), gateway) === null,
    everyByteCounts: true,
  },
  {
    name: 'receipt body',
    valid: bytesOf(vectors.receipts.list[4]?.bodyBytes),
    accepts: (bytes) => decodeReceiptBody(bytes) !== undefined,
  },
  {
    name: 'checkpoint',
    valid: bytesOf(vectors.checkpoint.bytes),
    accepts: (bytes) => decodeCheckpoint(bytes) !== undefined,
  },
  {
    name: 'signed checkpoint',
    valid: bytesOf(vectors.checkpoint.signedBytes),
    accepts: (bytes) => checkpointFault(decodeSignedCheckpoint(bytes)) === null,
  },
  {
    name: 'log record',
    valid: bytesOf(vectors.log.records[2]?.bytes),
    accepts: (bytes) => decodeLogRecord(bytes) !== undefined,
  },
  {
    name: 'hello',
    valid: bytesOf(vectors.hello.bytes),
    accepts: (bytes) => openSignedMessage('hello', bytes, device, gateway) !== undefined,
    everyByteCounts: true,
  },
  {
    name: 'config',
    valid: bytesOf(vectors.config.bytes),
    accepts: (bytes) => openSignedMessage('config', bytes, gateway, device) !== undefined,
    everyByteCounts: true,
  },
  {
    name: 'manifest',
    valid: bytesOf(vectors.dataset.manifestBytes),
    accepts: (bytes) => decodeManifest(bytes) !== undefined,
  },
  {
    name: 'frames file',
    valid: framesFile,
    accepts: (bytes) =>
      decodeFramesHeader(bytes, vectors.dataset.size, framesFile.length) !== undefined,
  },
  {
    name: 'frames of an entry',
    valid: bytesOf(run?.envelope).subarray(272),
    accepts: (bytes) => splitFrames(bytes, run?.frames.length ?? 0) !== null,
  },
];

function verdictOf(reader: Reader, bytes: Uint8Array): boolean {
  try {
    return reader.accepts(bytes);
  } catch (error) {
    // A wrong length handed to a fixed-size reader is the caller's mistake and a TypeError.
    const isCallers = reader.fixedSize === true && bytes.length !== reader.valid.length;
    expect(error).toBeInstanceOf(isCallers ? TypeError : RangeError);
    return false;
  }
}

describe.each(READERS)('$name', (reader) => {
  it('accepts its vector, so the refusals below mean something', () => {
    expect(verdictOf(reader, reader.valid)).toBe(true);
  });

  it('refuses every truncation', () => {
    // A frames file is read by its header alone; its length is checked against the file's.
    const end = reader.name === 'frames file' ? 12 + 8 * 6 : reader.valid.length;
    for (let length = 0; length < end; length++) {
      expect(verdictOf(reader, reader.valid.subarray(0, length))).toBe(false);
    }
  });

  it('refuses bytes after its end', () => {
    if (reader.name === 'frames file') {
      const other = vectors.dataset.size;
      expect(() => decodeFramesHeader(framesFile, other, framesFile.length + 1)).toThrow(
        RangeError,
      );
      return;
    }
    for (const extra of [1, 32, 4096]) {
      const longer = new Uint8Array(reader.valid.length + extra);
      longer.set(reader.valid);
      expect(verdictOf(reader, longer)).toBe(false);
    }
  });

  it('refuses noise with a fault or a RangeError', () => {
    const { length } = reader.valid;
    const noise = reader.fixedSize
      ? fc.uint8Array({ minLength: length, maxLength: length })
      : fc.uint8Array({ maxLength: 2 * length });
    fc.assert(
      fc.property(noise, (bytes) => {
        expect(verdictOf(reader, bytes)).toBe(false);
      }),
      { numRuns: 150 },
    );
  });

  it('refuses changes that its signature covers, and throws nothing else on any change', () => {
    const change = fc.tuple(fc.nat(reader.valid.length - 1), fc.nat(255));
    fc.assert(
      fc.property(fc.array(change, { minLength: 1, maxLength: 5 }), (changes) => {
        const bytes = Uint8Array.from(reader.valid);
        for (const [at, value] of changes) bytes[at] = value;
        const isSame = equalBytes(bytes, reader.valid);
        // verdictOf itself fails on an exception of another kind.
        const accepted = verdictOf(reader, bytes);
        if (isSame || reader.everyByteCounts) expect(accepted).toBe(isSame);
      }),
      { numRuns: 150 },
    );
  });
});

it('finds the statement of an envelope that is cut behind it, and nothing before', () => {
  const envelope = bytesOf(run?.envelope);
  for (let length = 0; length <= envelope.length; length++) {
    const found = statementBytesOf(envelope.subarray(0, length));
    expect(found === null).toBe(length < 208);
  }
});
