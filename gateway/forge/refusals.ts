import { formatEther } from 'ethers';
import { WaystoneError } from '../core/errors.js';
import { describeRevert, type Revert, readRevert } from './chain-client.js';

export function shortToken(tokenId: bigint | string): string {
  const text = String(tokenId);
  return text.length > 12 ? `${text.slice(0, 8)}…${text.slice(-4)}` : text;
}

/** A time of the chain, Unix seconds; some mean "never" by a number that no date holds. */
const timeOf = (seconds = '0'): string =>
  Number(seconds) > 8e12 ? 'the end of time' : new Date(Number(seconds) * 1_000).toISOString();

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
    case 'UntilInPast':
      return ['USAGE', `its rights would have ended at ${timeOf(first)} already`];
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
    case 'NotAFault':
      return ['CHALLENGE_NO_FAULT', 'the contract finds no fault in what is shown'];
    case 'WindowOver':
      return [
        'CHALLENGE_WINDOW_OVER',
        `its window ended at ${timeOf(second)}; nothing of it is judged any more`,
      ];
    case 'AlreadyUpheld':
      return [
        'CHALLENGE_PAID',
        'this fault of the dataset was upheld before, and each is paid once',
      ];
    case 'DatasetVoid':
      return [
        'CHALLENGE_VOID',
        'a fault of this dataset was upheld before; it is void, and gets no token',
      ];
    case 'AskedBefore':
      return ['CHALLENGE_ASKED', `entry ${second} is asked for now, or was; ask for another`];
    case 'NotAskedFor':
      return ['CHALLENGE_NOT_ASKED', `entry ${second} is not asked for, or that is settled`];
    case 'TooManyAskedFor':
      return [
        'CHALLENGE_PLACES_TAKEN',
        'four entries of this dataset are asked for already; a place is free once one of them is settled',
      ];
    case 'ResponseOpen':
      return ['CHALLENGE_TOO_EARLY', `entry ${second} may be shown until ${timeOf(third)}`];
    case 'ResponseOver':
      return ['CHALLENGE_TOO_LATE', `entry ${second} was to be shown before ${timeOf(third)}`];
    case 'NoSuchEntry':
      return ['CHALLENGE_NO_ENTRY', `the dataset has ${second} entries, counted from 0`];
    case 'NoCoin':
      return ['USAGE', 'name an amount above zero'];
    default:
      return ['CHAIN_CALL_REFUSED', `the contract refuses it: ${describeRevert(revert)}`];
  }
}
