import { type CallExceptionError, isError } from 'ethers';
import { WaystoneError } from '../../core/errors.js';
import { LAZAI_ERRORS } from './lazai-abi.js';

/** Why a dataset waits. Stable: logs, status and metrics use them. README.md says what each asks of the operator. */
export const LAZAI_CODES = [
  // The chain and its contracts
  'LAZAI_WRONG_GENESIS',
  'LAZAI_WRONG_CONTRACT',
  'LAZAI_PAUSED',
  'LAZAI_REFUSED',
  // Sending
  'LAZAI_NO_FUNDS',
  'LAZAI_NOT_MINED',
  'LAZAI_NOT_DEEP',
  // The file
  'LAZAI_URL_UNUSABLE',
  'LAZAI_URL_SQUATTED',
  'LAZAI_PUBLIC_KEY_CHANGED',
  'LAZAI_KEY_UNREADABLE',
  // Paying
  'LAZAI_NO_ACTIVE_NODES',
  'LAZAI_FEE_ABOVE_CAP',
  'LAZAI_SPEND_CAP_REACHED',
  // The proof
  'LAZAI_PROOF_PENDING',
  'LAZAI_PAID_WITHOUT_PROOF',
  'LAZAI_NODE_REMOVED',
  'LAZAI_SCORE_ZERO',
  // The token
  'LAZAI_OWNER_NO_CODE',
  'LAZAI_OWNER_REFUSES',
  'LAZAI_LOG_MISSING',
  'LAZAI_READING_LOG',
] as const;

export type LazaiCode = (typeof LAZAI_CODES)[number];

/** The dataset cannot go on now. Nothing is lost; it is looked at again. */
export class LazaiWait extends WaystoneError {
  constructor(code: LazaiCode, message: string, options?: { cause?: unknown }) {
    super(code, message, options);
  }
}

/**
 * Whether a contract reverted. The client library calls every refusal of `eth_call` and `eth_estimateGas` a
 * CALL_EXCEPTION, a throttled or pruned node's too; those must not be taken for a contract's word.
 */
export function isRevert(error: unknown): error is CallExceptionError {
  if (!isError(error, 'CALL_EXCEPTION')) return false;
  if (error.data !== null && error.data !== '0x') return true;
  const said = (error.info as { error?: { code?: unknown; message?: unknown } } | undefined)?.error;
  // Code 3 is a revert; some nodes only say so.
  return said?.code === 3 || /revert/i.test(String(said?.message));
}

/** Whether a contract is not the one expected: it reverts where LazAI's answers, or answers with something else. */
export function isForeignAnswer(error: unknown): boolean {
  return isRevert(error) || isError(error, 'BAD_DATA');
}

/** The name of the error that a LazAI contract reverted with; null when the failure is not a contract's refusal. */
export function readLazaiRevert(error: unknown): string | null {
  if (!isRevert(error)) return null;
  const { data } = error;
  const isData = typeof data === 'string' && data.length >= 10;
  const parsed = isData ? LAZAI_ERRORS.parseError(data) : null;
  return parsed?.name ?? error.reason ?? error.shortMessage;
}
