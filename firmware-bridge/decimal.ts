const DECIMAL = /^([+-]?)([0-9]{1,16})(?:\.([0-9]{1,30}))?$/;

/**
 * The integer nearest to a decimal text times 10^`digits`, computed on the text: a degree with nine decimals
 * has more digits than a float times 1e9 keeps. Halves go away from zero.
 *
 * @returns null when `text` is not a plain decimal number, or the result is 2^53 or more.
 */
export function scaledInteger(text: string, digits: number): number | null {
  const match = DECIMAL.exec(text);
  if (match === null) return null;
  const [, sign, whole, fraction = ''] = match;
  const kept = fraction.slice(0, digits).padEnd(digits, '0');
  const roundsUp = (fraction[digits] ?? '0') >= '5';
  const value = Number(BigInt(`${whole}${kept}`) + (roundsUp ? 1n : 0n));
  if (!Number.isSafeInteger(value)) return null;
  return sign === '-' && value !== 0 ? -value : value;
}
