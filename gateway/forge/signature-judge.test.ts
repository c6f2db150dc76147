import { chmodSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type KeyType, verifySignature } from '@waystone/proto';
import fc from 'fast-check';
import secp256k1 from 'secp256k1';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { sha256 } from '../../proto/hash.js';
import { type SignatureCase, wycheproofCases } from '../../proto/test-data/signature-cases.js';
import { ecdsaCoordinates, flipS, testKeyNamed } from '../../proto/test-data/test-signer.js';
import { type SignatureJudge, SignatureJudge__factory } from '../contracts/types/index.js';
import { type Anvil, anvilBinary, startAnvil } from './anvil-process.js';
import { connectChain } from './chain-client.js';
import { jsonRpc } from './json-rpc.js';
import { temporaryFolder } from './testing.js';

const CHAIN_ID = 31337;
const JUDGE = '0x00000000000000000000000000000000000a11ce';
const KEY_TYPES = { secp256k1: 1, 'P-256': 2 } as const;
type EcdsaType = keyof typeof KEY_TYPES;

const { deployedBytecode } = JSON.parse(
  readFileSync(new URL('../contracts/artifacts/SignatureJudge.json', import.meta.url), 'utf8'),
) as { deployedBytecode: string };

// What a verdict costs a bond must be the same on chains with the P-256 precompile and without.
describe.each([
  ['on a chain with the P-256 precompile', 'osaka', true],
  ['on a chain without it', 'cancun', false],
] as const)('the contract and TypeScript judge alike, %s', (_, hardfork, hasPrecompile) => {
  const { folder, remove } = temporaryFolder();
  let anvil: Anvil;
  let judge: SignatureJudge;
  let provider: ReturnType<typeof connectChain>;

  beforeAll(async () => {
    const binary = join(folder, 'anvil');
    writeFileSync(binary, `#!/bin/sh\nexec '${anvilBinary()}' --hardfork ${hardfork} "$@"\n`);
    chmodSync(binary, 0o700);
    anvil = await startAnvil({ chainId: CHAIN_ID, markFile: join(folder, 'mark'), binary });
    await jsonRpc(anvil.url, 'anvil_setCode', [JUDGE, deployedBytecode]);
    provider = connectChain(anvil.url, CHAIN_ID);
    judge = SignatureJudge__factory.connect(JUDGE, provider);
  });

  afterAll(async () => {
    provider?.destroy();
    await anvil?.stop();
    remove();
  });

  const verdict = ({ keyType, publicKey, message, signature }: SignatureCase): Promise<boolean> =>
    judge.isValid(
      {
        keyType: KEY_TYPES[keyType as EcdsaType],
        publicKey,
        y: ecdsaCoordinates({ type: keyType, bytes: publicKey }).y,
      },
      sha256(message),
      signature,
    );

  /** Ids of the cases on which contract, TypeScript and the vector's own verdict are not one. */
  const disagreements = async (cases: readonly SignatureCase[]): Promise<string[]> => {
    const found: string[] = [];
    for (let from = 0; from < cases.length; from += 32) {
      const part = cases.slice(from, from + 32);
      const verdicts = await Promise.all(part.map(verdict));
      for (const [k, test] of part.entries()) {
        const ours = verifySignature(
          { type: test.keyType, bytes: test.publicKey },
          test.message,
          test.signature,
        );
        if (verdicts[k] !== test.valid || ours !== test.valid) found.push(test.id);
      }
    }
    return found;
  };

  it('as the test means it', async () => {
    // A valid signature of Wycheproof's, which the precompile answers with 1 and other chains with nothing.
    const call = [
      'bb5a52f42f9c9261ed4361f59422a1e30036e7c32b270c8807a419feca605023',
      '0000000000000000000000000000000000000000000000000000000000000005',
      '0000000000000000000000000000000000000000000000000000000000000001',
      'a71af64de5126a4a4e02b7922d66ce9415ce88a4c9d25514d91082c8725ac957',
      '5d47723c8fbe580bb369fec9c2665d8e30a435b9932645482e7c9f11e872296b',
    ].join('');
    const answer = await jsonRpc(anvil.url, 'eth_call', [
      { to: `0x${'100'.padStart(40, '0')}`, data: `0x${call}` },
      'latest',
    ]);
    expect(answer).toBe(hasPrecompile ? `0x${'1'.padStart(64, '0')}` : '0x');
  });

  it.each(['secp256k1', 'P-256'] as const)('on every Wycheproof vector of %s', async (type) => {
    const { cases } = wycheproofCases(type);
    expect(cases.length).toBeGreaterThan(200);
    expect(await disagreements(cases)).toEqual([]);
  });

  it.each(['secp256k1', 'P-256'] as const)(
    'on %s signatures of any message, spoilt or not',
    async (type) => {
      const key = testKeyNamed(type, 'signature judge');
      await fc.assert(
        fc.asyncProperty(
          fc.uint8Array({ maxLength: 300 }),
          fc.constantFrom('none', 'high S', 'bit'),
          fc.nat(511),
          async (message, harm, bit) => {
            let signature = key.sign(message);
            if (harm === 'high S') signature = flipS(type, signature);
            if (harm === 'bit') {
              signature = signature.slice();
              signature[bit >> 3] = (signature[bit >> 3] as number) ^ (1 << (bit & 7));
            }
            const test = { id: '', keyType: type as KeyType, publicKey: key.publicKey.bytes };
            const ours = verifySignature(key.publicKey, message, signature);
            expect(await verdict({ ...test, message, signature, valid: ours })).toBe(ours);
            expect(ours).toBe(harm === 'none');
          },
        ),
        { numRuns: 40 },
      );
    },
  );

  // ecrecover cannot be told of such an R. A device could make the signature first and the key from it, have an honest
  // gateway store it, and show a "bad signature".
  it('on signatures whose R has an x of the group order or more', async () => {
    const cases = keysForWrappedR(6);
    expect(cases).toHaveLength(6);
    expect(await disagreements(cases)).toEqual([]);
    const spoilt = cases.map((test) => ({
      ...test,
      message: Uint8Array.of(...test.message, 0),
      valid: false,
    }));
    expect(await disagreements(spoilt)).toEqual([]);
  });

  it('gives no verdict on keys off the curve, of the other parity, or of another type', async () => {
    const { publicKey, sign } = testKeyNamed('secp256k1', 'signature judge');
    const message = Uint8Array.of(1);
    const good = { keyType: 1, publicKey: publicKey.bytes, y: ecdsaCoordinates(publicKey).y };
    const parity = publicKey.bytes.slice();
    parity[0] = (parity[0] as number) ^ 1;
    const off = good.y.slice();
    off[5] = (off[5] as number) ^ 1;
    for (const key of [
      { ...good, publicKey: parity },
      { ...good, y: off },
      { ...good, keyType: 2 },
      { ...good, keyType: 3 },
      { ...good, publicKey: publicKey.bytes.subarray(0, 32) },
    ]) {
      await expect(judge.isValid(key, sha256(message), sign(message))).rejects.toMatchObject({
        code: 'CALL_EXCEPTION',
      });
    }
    expect(await judge.isValid(good, sha256(message), sign(message))).toBe(true);
  });
});

const ORDER = 0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141n;

/** Valid signatures with r = x(R) - n, and the keys that make them valid: Q = (s·R - z·G) / r. */
function keysForWrappedR(count: number): SignatureCase[] {
  const cases: SignatureCase[] = [];
  for (let r = 1n; cases.length < count; r++) {
    const point = new Uint8Array(33);
    point[0] = 2 + Number(r % 2n);
    point.set(bytes32(ORDER + r), 1);
    if (!secp256k1.publicKeyVerify(point)) continue;
    const message = Uint8Array.of(0x57, Number(r & 0xffn));
    const s = BigInt(`0x${Buffer.from(sha256(bytes32(r))).toString('hex')}`) >> 1n;
    const z = BigInt(`0x${Buffer.from(sha256(message)).toString('hex')}`) % ORDER;
    const inverse = power(r, ORDER - 2n);
    const scaled = secp256k1.publicKeyTweakMul(point, bytes32((s * inverse) % ORDER));
    const publicKey = secp256k1.publicKeyTweakAdd(scaled, bytes32(((ORDER - z) * inverse) % ORDER));
    cases.push({
      id: `x(R) = n + ${r}`,
      keyType: 'secp256k1',
      publicKey,
      message,
      signature: Uint8Array.of(...bytes32(r), ...bytes32(s)),
      valid: true,
    });
  }
  return cases;
}

function power(base: bigint, exponent: bigint): bigint {
  let result = 1n;
  for (
    let bit = exponent, square = base;
    bit > 0n;
    bit >>= 1n, square = (square * square) % ORDER
  ) {
    if (bit & 1n) result = (result * square) % ORDER;
  }
  return result;
}

function bytes32(value: bigint): Uint8Array {
  return new Uint8Array(Buffer.from(value.toString(16).padStart(64, '0'), 'hex'));
}
