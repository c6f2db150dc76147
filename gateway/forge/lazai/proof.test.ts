import { AbiCoder, dataSlice, getBytes, Signature, Wallet } from 'ethers';
import { describe, expect, it } from 'vitest';
import { proofDigest, proofHash, proofSigner } from './proof.js';

// The vector of the test suite that LazAI published.
const VECTOR = {
  data: { id: 1n, score: 1n, fileUrl: '', proofUrl: '' },
  signature:
    '0xfd10d06dda9347726b73eabfa7565524090f1d259a799a580a61fc0f54a52b347f958e9efe2ea35193f6924acd796eb0cdd2eda415f18fe438cdb8a88b541d4e1b',
};
const VECTOR_HASH = '0x80c0362916c5c4aebedc89e723e574efcf3b4b7c9b06e43d5e8e04f0bb08158e';
const VECTOR_SIGNER = '0x34d9E02F9bB4E4C8836e38DF4320D4a79106F194';

describe('a proof', () => {
  it('hashes and recovers as in the published vector', () => {
    expect(proofHash(VECTOR.data)).toBe(VECTOR_HASH);
    expect(proofSigner(VECTOR)).toBe(VECTOR_SIGNER);
  });

  it('is signed over its ABI encoding as a tuple, offset first', () => {
    const flat = AbiCoder.defaultAbiCoder().encode(
      ['uint256', 'uint256', 'string', 'string'],
      [1, 1, '', ''],
    );
    const tuple = AbiCoder.defaultAbiCoder().encode(
      ['tuple(uint256,uint256,string,string)'],
      [[1, 1, '', '']],
    );
    expect(getBytes(tuple)).toHaveLength(224);
    expect(dataSlice(tuple, 32)).toBe(flat);
  });

  it('of anything else has another signer', () => {
    for (const change of [{ id: 2n }, { score: 2n }, { fileUrl: 'x' }, { proofUrl: 'x' }]) {
      const signer = proofSigner({ ...VECTOR, data: { ...VECTOR.data, ...change } });
      expect(signer).not.toBe(VECTOR_SIGNER);
    }
  });

  it.each([
    ['empty', '0x'],
    ['64 bytes, which libraries take for a compact one', VECTOR.signature.slice(0, 130)],
    ['66 bytes', `${VECTOR.signature}00`],
    ['v of 0', `${VECTOR.signature.slice(0, 130)}00`],
    ['v of 29', `${VECTOR.signature.slice(0, 130)}1d`],
    ['zeros', `0x${'00'.repeat(64)}1b`],
  ])('is refused as the contract would: %s', (_name, signature) => {
    expect(proofSigner({ ...VECTOR, signature })).toBeNull();
  });

  it('is refused with the high s of a good signature', () => {
    const order = 0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141n;
    const wallet = Wallet.createRandom();
    const { r, s, v } = wallet.signingKey.sign(proofDigest(VECTOR.data));
    const good = Signature.from({ r, s, v }).serialized;
    const highS = (order - BigInt(s)).toString(16).padStart(64, '0');
    const high = `${r}${highS}${v === 27 ? '1c' : '1b'}`;
    expect(proofSigner({ ...VECTOR, signature: good })).toBe(wallet.address);
    expect(proofSigner({ ...VECTOR, signature: high })).toBeNull();
  });
});
