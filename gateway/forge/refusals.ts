import { formatEther } from 'ethers';
import { WaystoneError } from '../core/errors.js';
import { describeRevert, type Revert, readRevert } from './chain-client.js';

export function shortToken(tokenId: bigint | string): string {
  const text = String(tokenId);
  return text.length > 12 ? `${text.slice(0, 8)}…${text.slice(-4)}` : text;
}

const coin = (wei = '0'): string => formatEther(wei);

/** A contract's refusal in words; other errors as they are. */
export function explain(error: unknown): unknown {
  const revert = readRevert(error);
  if (revert === null) return error;
  const [code, message] = wordsOf(revert);
  return new WaystoneError(code, message, { cause: error });
}

function wordsOf(revert: Revert): [code: string, message: string] {
  const [first, second, third] = revert.args.map(String);
  switch (revert.name) {
    case 'QuotaExceeded':
      return [
        'DAT_QUOTA_EXCEEDED',
        `token ${shortToken(first ?? '')} has ${second} calls left, ${third} are wanted; record less, or have its issuer issue another licence`,
      ];
    case 'TokenExpired':
      return [
        'DAT_EXPIRED',
        `token ${shortToken(first ?? '')} ended at ${new Date(Number(second) * 1_000).toISOString()}; have its issuer issue another licence`,
      ];
    case 'ExpiryInPast':
      return ['DAT_EXPIRY_PAST', 'the licence would end in the past; name a later end'];
    case 'UnknownClass':
    case 'ERC721NonexistentToken':
      return [
        'DAT_UNKNOWN',
        `there is no token ${shortToken(first ?? '')} in this contract; waystone datasets list shows those of this gateway`,
      ];
    case 'NoActiveShare':
      return [
        'DAT_NO_SHARE',
        "nobody could claim it: the dataset's token has expired. Nothing was paid",
      ];
    case 'NotOwner':
      return ['IDAO_NOT_OWNER', `${first} does not own the iDAO; use its owner's key`];
    case 'NotBondOwner':
      return ['IDAO_NOT_OWNER', `${second} does not own the iDAO ${first}; use its owner's key`];
    case 'BondTooSmall':
      return [
        'BOND_TOO_SMALL',
        `the bond is ${coin(second)} coin, ${coin(third)} are needed or asked for`,
      ];
    case 'NotTakeable':
      return [
        'BOND_NOT_TAKEABLE',
        second === '0'
          ? 'nothing was asked back; waystone idao bond request comes first'
          : `it may be taken from ${new Date(Number(second) * 1_000).toISOString()} on`,
      ];
    case 'NoCoin':
      return ['USAGE', 'name an amount above zero'];
    default:
      return ['CHAIN_CALL_REFUSED', `the contract refuses it: ${describeRevert(revert)}`];
  }
}
