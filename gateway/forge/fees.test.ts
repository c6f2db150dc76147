import { describe, expect, it } from 'vitest';
import { chooseFees, chooseFeesAnew, feeFields } from './fees.js';
import { readSendRefusal } from './send-answers.js';

const GWEI = 1_000_000_000n;
const market = { type: 2, priceWei: 11n * GWEI, tipWei: GWEI } as const;
const rules = (ceilingGwei: bigint | null) =>
  ({ kind: 'auto', ceilingWei: ceilingGwei === null ? null : ceilingGwei * GWEI }) as const;

describe('fees', () => {
  it('outlast some full blocks, up to the ceiling', () => {
    expect(chooseFees(market, rules(null), null)).toEqual({
      ...{ type: 2, maxFeeWei: 21n * GWEI, tipWei: GWEI },
    });
    expect(chooseFees(market, rules(15n), null).maxFeeWei).toBe(15n * GWEI);
  });

  it('are not offered when the chain wants more than the ceiling', () => {
    expect(() => chooseFees(market, rules(10n), null)).toThrow(
      expect.objectContaining({ code: 'FORGE_FEE_CEILING' }),
    );
  });

  it('of a replacement are at least 10 % more in both parts, whatever the chain wants', () => {
    for (const [maxFeeWei, tipWei] of [
      [1n, 1n],
      [7n, 3n],
      [123_456_789n, 987_654n],
      [50n * GWEI, 2n * GWEI],
    ] as const) {
      const fees = chooseFees(market, rules(null), { type: 2, maxFeeWei, tipWei });
      expect(fees.maxFeeWei * 10n).toBeGreaterThan(maxFeeWei * 11n);
      expect(fees.tipWei * 10n).toBeGreaterThan(tipWei * 11n);
      expect(fees.maxFeeWei).toBeGreaterThanOrEqual(fees.tipWei);
    }
  });

  it('of a replacement end at the ceiling', () => {
    const replaced = { type: 2, maxFeeWei: 90n * GWEI, tipWei: GWEI } as const;
    expect(() => chooseFees(market, rules(100n), replaced)).toThrow(
      expect.objectContaining({ code: 'FORGE_FEE_CEILING' }),
    );
    expect(chooseFees(market, rules(102n), replaced).maxFeeWei).toBeLessThanOrEqual(102n * GWEI);
  });

  it('for a nonce that was used at the ceiling before are the ceiling, not a wait for ever', () => {
    const before = { type: 2, maxFeeWei: 100n * GWEI, tipWei: GWEI } as const;
    expect(chooseFeesAnew(market, rules(100n), before)).toMatchObject({ maxFeeWei: 100n * GWEI });
    expect(chooseFeesAnew(market, rules(100n), null)).toEqual(
      chooseFees(market, rules(100n), null),
    );
    expect(() => chooseFeesAnew(market, rules(10n), before)).toThrow(/ceiling/);
  });

  it('of a chain without a base fee are one price, with room', () => {
    const legacy = { type: 0, priceWei: 8n * GWEI, tipWei: 8n * GWEI } as const;
    const fees = chooseFees(legacy, rules(100n), null);
    expect(fees).toEqual({ type: 0, maxFeeWei: 9n * GWEI, tipWei: 9n * GWEI });
    expect(feeFields(fees)).toEqual({ type: 0, gasPrice: 9n * GWEI });
    const dearer = chooseFees(legacy, rules(100n), fees);
    expect(dearer.maxFeeWei * 10n).toBeGreaterThan(99n * GWEI - 1n);
    expect(chooseFees(legacy, rules(8n), null).maxFeeWei).toBe(8n * GWEI);
  });
});

// Words of geth, reth, Erigon, Nethermind, Besu and anvil.
it.each([
  ['already known', 'known'],
  ['transaction already imported', 'known'],
  ['AlreadyKnown', 'known'],
  ['Known transaction', 'known'],
  ['nonce too low: next nonce 5, tx nonce 4', 'nonce-used'],
  ['OldNonce', 'nonce-used'],
  ['replacement transaction underpriced', 'underpriced'],
  ['transaction underpriced: tip needed 1000, tip permitted 1', 'underpriced'],
  ['max fee per gas less than block base fee: address 0x0', 'underpriced'],
  ['FeeTooLow', 'underpriced'],
  ['insufficient funds for gas * price + value', 'no-funds'],
  ['exceeds block gas limit', 'misfit'],
  ['intrinsic gas too low', 'misfit'],
  ['txpool is full', 'not-now'],
  ['rate limit exceeded', 'not-now'],
  ['invalid sender', 'other'],
] as const)('reads "%s" as %s', (message, kind) => {
  expect(readSendRefusal(message)).toBe(kind);
});
