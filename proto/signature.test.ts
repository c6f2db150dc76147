import { describe, expect, it } from 'vitest';
import { fromHex, toHex } from './bytes.js';
import { isAcceptedEd25519Point, isValidPublicKey } from './keys.js';
import { isLowS, normaliseSignature, verifySignature } from './signature.js';
import { ed25519Cases, nonCanonicalEd25519Points } from './test-data/ed25519-cases.js';
import {
  rawFromDer,
  type SignatureCase,
  signatureCases,
  wycheproofCases,
} from './test-data/signature-cases.js';
import { ecdsaSign, flipS, testKey, testKeyNamed } from './test-data/test-signer.js';

const verdict = (test: SignatureCase): boolean =>
  verifySignature({ type: test.keyType, bytes: test.publicKey }, test.message, test.signature);
const wrongVerdicts = (cases: readonly SignatureCase[]): string[] =>
  cases.filter((test) => verdict(test) !== test.valid).map((test) => test.id);
const ascii = (text: string): Uint8Array => new Uint8Array(Buffer.from(text, 'ascii'));

const ECDSA_TYPES = ['secp256k1', 'P-256'] as const;

describe('verifySignature', () => {
  // Counted once by hand, so that a vector that goes missing or changes side is seen.
  it.each([
    { type: 'secp256k1', total: 463, raw: 231, unencodable: 232, highS: 9, valid: 164 },
    { type: 'P-256', total: 484, raw: 249, unencodable: 235, highS: 92, valid: 174 },
    { type: 'Ed25519', total: 151, raw: 139, unencodable: 12, highS: 0, valid: 88 },
  ] as const)('agrees with every Wycheproof vector of $type', (expected) => {
    const { cases, unencodable, total } = wycheproofCases(expected.type);
    const highS = cases.filter((test) => test.id.endsWith('high S'));

    expect({
      type: expected.type,
      total,
      raw: cases.length - highS.length,
      unencodable: unencodable.length,
      highS: highS.length,
      valid: cases.filter((test) => test.valid).length,
    }).toEqual(expected);
    expect(wrongVerdicts(cases)).toEqual([]);
    // What has no raw form is refused before a verifier sees it: right for all of it.
    expect(unencodable.filter((test) => test.valid)).toEqual([]);
  });

  it('refuses high S and accepts the same signature once it is normalised', () => {
    const twins = signatureCases().filter((test) => test.id.endsWith('high S'));
    const accepted = twins.filter((test) => {
      expect(verdict(test)).toBe(false);
      return verdict({ ...test, signature: normaliseSignature(test.keyType, test.signature) });
    });
    // 2 of 9 for secp256k1 and 71 of 92 for P-256; the others are wrong in another way too.
    expect(twins).toHaveLength(101);
    expect(accepted).toHaveLength(73);
  });

  it('is strict and cofactorless for Ed25519', () => {
    const cases = ed25519Cases();
    expect(cases.filter((test) => test.valid)).toHaveLength(2);
    expect(cases.filter((test) => !test.valid)).toHaveLength(20);
    expect(wrongVerdicts(cases)).toEqual([]);
  });

  it.each(['secp256k1', 'P-256', 'Ed25519'] as const)(
    'refuses a %s signature after a change of any bit of signature, key or message',
    (type) => {
      const key = testKeyNamed(type, 'bit flips');
      const message = ascii('every bit counts');
      const signature = key.sign(message);
      const { bytes } = key.publicKey;
      expect(verifySignature(key.publicKey, message, signature)).toBe(true);
      for (const at of bits(signature)) {
        expect(verifySignature(key.publicKey, message, flipBit(signature, at))).toBe(false);
      }
      for (const at of bits(bytes)) {
        const other = { type, bytes: flipBit(bytes, at) };
        expect(verifySignature(other, message, signature)).toBe(false);
      }
      for (const at of bits(message)) {
        expect(verifySignature(key.publicKey, flipBit(message, at), signature)).toBe(false);
      }
    },
  );

  it.each(['secp256k1', 'P-256', 'Ed25519'] as const)(
    'refuses %s signatures of every other length',
    (type) => {
      const key = testKeyNamed(type, 'lengths');
      const signature = key.sign(ascii('x'));
      for (let length = 0; length <= 130; length++) {
        if (length === 64) continue;
        const other = new Uint8Array(length);
        other.set(signature.subarray(0, length));
        expect(verifySignature(key.publicKey, ascii('x'), other)).toBe(false);
      }
    },
  );

  it('refuses r and s outside 1..n-1', () => {
    const orders = {
      secp256k1: 'fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141',
      'P-256': 'ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551',
    };
    for (const type of ECDSA_TYPES) {
      const key = testKeyNamed(type, 'ranges');
      const good = key.sign(ascii('x'));
      for (const bad of [new Uint8Array(32), fromHex(orders[type]), new Uint8Array(32).fill(255)]) {
        for (const at of [0, 32]) {
          const signature = good.slice();
          signature.set(bad, at);
          expect(verifySignature(key.publicKey, ascii('x'), signature)).toBe(false);
          expect(normaliseSignature(type, signature)).toEqual(signature);
        }
      }
    }
  });

  it('refuses a signature under a key of the other curve', () => {
    const key = testKeyNamed('secp256k1', 'curves');
    const signature = key.sign(ascii('x'));
    const other = { type: 'P-256', bytes: key.publicKey.bytes } as const;
    expect(verifySignature(other, ascii('x'), signature)).toBe(false);
  });
});

describe('isLowS', () => {
  it.each([
    ['secp256k1', '7fffffffffffffffffffffffffffffff5d576e7357a4501ddfe92f46681b20a0'],
    ['P-256', '7fffffff800000007fffffffffffffffde737d56d38bcf4279dce5617e3192a8'],
  ] as const)('draws the line at half the order of %s', (type, half) => {
    const withS = (s: string) => new Uint8Array(Buffer.from('11'.repeat(32) + s, 'hex'));
    const next = (BigInt(`0x${half}`) + 1n).toString(16);
    const verdicts = [
      `00${'ff'.repeat(31)}`,
      `7e${'ff'.repeat(31)}`,
      half,
      next,
      `80${'00'.repeat(31)}`,
    ].map((s) => isLowS(type, withS(s)));
    expect(verdicts).toEqual([true, true, true, false, false]);
  });
});

describe('normaliseSignature', () => {
  it.each(ECDSA_TYPES)('gives both twins of a %s signature the same low form', (type) => {
    const key = testKeyNamed(type, 'twins');
    for (let k = 0; k < 32; k++) {
      const message = ascii(`message ${k}`);
      const low = key.sign(message);
      const high = flipS(type, low);
      expect(isLowS(type, low)).toBe(true);
      expect(isLowS(type, high)).toBe(false);
      expect(verifySignature(key.publicKey, message, high)).toBe(false);
      expect(toHex(normaliseSignature(type, high))).toBe(toHex(low));
      expect(normaliseSignature(type, low)).toBe(low);
    }
  });

  it('leaves Ed25519 signatures and other lengths alone', () => {
    const full = new Uint8Array(64).fill(255);
    expect(normaliseSignature('Ed25519', full)).toBe(full);
    for (const length of [0, 1, 32, 63, 65]) {
      const odd = new Uint8Array(length).fill(255);
      expect(normaliseSignature('P-256', odd)).toBe(odd);
    }
  });
});

describe('Ed25519 keys', () => {
  it('refuses every key that is not canonical', () => {
    const points = nonCanonicalEd25519Points();
    expect(points).toHaveLength(19);
    for (const bytes of points) {
      expect(isAcceptedEd25519Point(bytes)).toBe(false);
      const signed = bytes.slice();
      signed[31] = 0xff;
      expect(isAcceptedEd25519Point(signed)).toBe(false);
      expect(isValidPublicKey({ type: 'Ed25519', bytes })).toBe(false);
    }
  });

  it('refuses every key of small order', () => {
    const weak = ed25519Cases().filter((test) =>
      /A is (the identity|of (small )?order)/.test(test.id),
    );
    expect(weak).toHaveLength(13);
    for (const test of weak) {
      expect(isValidPublicKey({ type: 'Ed25519', bytes: test.publicKey })).toBe(false);
    }
  });
});

describe('the signer of the vectors', () => {
  // Not our own arithmetic against itself: RFC 6979 A.2.5 and the widely used secp256k1 vector.
  it('signs as RFC 6979 says', () => {
    const p256 = fromHex('c9afa9d845ba75166b5c215767b1d6934e50c3db36e89b127b8a622b120f6721');
    expect(toHex(ecdsaSign('P-256', p256, ascii('sample')))).toBe(
      'efd48b2aacb6a8fd1140dd9cd45e81d69d2c877b56aaf991c34d0ea84eaf3716' +
        'f7cb1c942d657c41d436c7a1b6e29f65f3e900dbb9aff4064dc4ab2f843acda8',
    );
    const one = fromHex(`${'00'.repeat(31)}01`);
    expect(toHex(testKey('secp256k1', one).sign(ascii('Satoshi Nakamoto')))).toBe(
      '934b1ea10a4b3c1757e2b0c017d0b6143ce3c9a7e6a4a49860d7a6ab210ee3d8' +
        '2442ce9d2b916064108014783e923ec36b49743e2ffa1c4496f01a512aafd9e5',
    );
  });
});

describe('rawFromDer', () => {
  const der = (r: string, s: string): Uint8Array => {
    const body = [r, s].map((hex) => `02${(hex.length / 2).toString(16).padStart(2, '0')}${hex}`);
    const size = body.join('').length / 2;
    return fromHex(`30${size.toString(16).padStart(2, '0')}${body.join('')}`);
  };

  it('reads the one strict form', () => {
    expect(rawFromDer(der('01', '00ff'))).toEqual(
      fromHex(`${'0'.repeat(62)}01${'0'.repeat(62)}ff`),
    );
    expect(rawFromDer(der('00', '7f'))).toEqual(fromHex(`${'0'.repeat(64)}${'0'.repeat(62)}7f`));
  });

  it('refuses negative, padded, empty and too long integers and bytes after the end', () => {
    for (const [r, s] of [
      ['80', '01'],
      ['0001', '01'],
      ['', '01'],
      [`01${'00'.repeat(32)}`, '01'],
      [`00${'ff'.repeat(33)}`, '01'],
    ] as const) {
      expect(rawFromDer(der(r, s))).toBeNull();
      expect(rawFromDer(der(s, r))).toBeNull();
    }
    const good = der('01', '01');
    expect(rawFromDer(good)).not.toBeNull();
    expect(rawFromDer(fromHex(`${toHex(good)}00`))).toBeNull();
    for (let length = 0; length < good.length; length++) {
      expect(rawFromDer(good.subarray(0, length))).toBeNull();
    }
  });
});

function bits(bytes: Uint8Array): number[] {
  return Array.from({ length: bytes.length * 8 }, (_, at) => at);
}

function flipBit(bytes: Uint8Array, at: number): Uint8Array {
  const changed = bytes.slice();
  changed[at >> 3] = (changed[at >> 3] as number) ^ (1 << (at & 7));
  return changed;
}
