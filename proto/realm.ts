import { concatBytes, fromHex, requireInteger, UINT53_MAX, writeUint53 } from './bytes.js';
import { HASH_BYTES, sha256 } from './hash.js';
import { TAGS } from './tags.js';

/** Realm of a gateway on the local network that has no iDAO: nothing can be minted elsewhere from it. */
export const LOCAL_REALM: Uint8Array = new Uint8Array(HASH_BYTES);

/**
 * The chain and iDAO that a statement is meant for: SHA-256(tag ‖ chain id u64 ‖ iDAO address); 32 bytes.
 *
 * @param chainId EIP-155 chain id, 1 to 2^53 - 1.
 * @param idao the iDAO's address, `0x` and 40 hex digits of any case.
 * @throws RangeError when `chainId` is out of range.
 * @throws TypeError when `idao` is not an address.
 */
export function realmOf(chainId: number, idao: string): Uint8Array {
  if (!/^0x[0-9a-fA-F]{40}$/.test(idao)) {
    throw new TypeError(`expected an address (0x and 40 hex digits), got ${JSON.stringify(idao)}`);
  }
  requireInteger('chainId', chainId, 1, UINT53_MAX);
  const chain = new Uint8Array(8);
  writeUint53(chain, 0, chainId);
  return sha256(concatBytes(TAGS.realm, chain, fromHex(idao.slice(2))));
}
