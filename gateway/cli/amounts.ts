import { WaystoneError } from '../core/errors.js';

const DECIMALS = 18;

/** Wei as coin: "1500000000000000000" is "1.5". */
export function coinOf(wei: string): string {
  const digits = wei.padStart(DECIMALS + 1, '0');
  const fraction = digits.slice(-DECIMALS).replace(/0+$/, '');
  return `${digits.slice(0, -DECIMALS)}${fraction === '' ? '' : `.${fraction}`}`;
}

/** Coin as wei, exactly. @throws WaystoneError USAGE. */
export function weiOf(flag: string, coin: string): bigint {
  const [, whole = '', fraction = ''] = /^([0-9]{1,12})(?:\.([0-9]{1,18}))?$/.exec(coin) ?? [];
  if (whole === '') {
    throw new WaystoneError('USAGE', `${flag} must be an amount of coin, such as 0.25`);
  }
  return BigInt(whole + fraction.padEnd(DECIMALS, '0'));
}
