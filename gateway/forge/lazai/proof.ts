import { AbiCoder, getBytes, hashMessage, keccak256, recoverAddress, Signature } from 'ethers';

/** What a node signs of a file. */
export interface ProofData {
  readonly id: bigint;
  readonly score: bigint;
  readonly fileUrl: string;
  readonly proofUrl: string;
}

export interface Proof {
  /** Hex with 0x. */
  readonly signature: string;
  readonly data: ProofData;
}

const PROOF_DATA_TYPE = 'tuple(uint256 id, uint256 score, string fileUrl, string proofUrl)';

/**
 * keccak256 of the data's ABI encoding as one tuple. It names neither chain nor contract, so a node's signature is
 * good on every chain; the caller must compare id and url with his file.
 */
export function proofHash(data: ProofData): string {
  const { id, score, fileUrl, proofUrl } = data;
  const tuple = [id, score, fileUrl, proofUrl];
  return keccak256(AbiCoder.defaultAbiCoder().encode([PROOF_DATA_TYPE], [tuple]));
}

/** What the node's key signs: EIP-191 over the 32 bytes of {@link proofHash}. */
export function proofDigest(data: ProofData): string {
  return hashMessage(getBytes(proofHash(data)));
}

/**
 * Who signed a proof, by the rules of the contract: exactly 65 bytes, v of 27 or 28, low s. null when the contract
 * would refuse the signature.
 */
export function proofSigner(proof: Proof): string | null {
  // 2 of 0x, 64 of r, 64 of s; the library would take other forms, the contract does not.
  if (proof.signature.length !== 132) return null;
  const v = Number.parseInt(proof.signature.slice(130), 16);
  if (v !== 27 && v !== 28) return null;
  try {
    return recoverAddress(proofDigest(proof.data), Signature.from(proof.signature));
  } catch {
    // High s, or no point on the curve.
    return null;
  }
}
