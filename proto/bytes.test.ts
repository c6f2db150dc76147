import { describe, expect, it } from 'vitest';
import { equalBytes, startsWith } from './bytes.js';

describe('equal bytes', () => {
  it('are equal in length and in every byte, short or long', () => {
    for (const length of [0, 1, 16, 32, 63, 64, 65, 200]) {
      const bytes = Uint8Array.from({ length }, (_, k) => (k * 37) & 255);
      expect(equalBytes(bytes, bytes.slice())).toBe(true);
      expect(equalBytes(bytes, Uint8Array.of(...bytes, 0))).toBe(false);
      expect(startsWith(Uint8Array.of(...bytes, 9), bytes)).toBe(true);
      if (length > 0) expect(startsWith(bytes.subarray(1), bytes)).toBe(false);
      for (let k = 0; k < length; k++) {
        const other = bytes.slice();
        other[k] = (other[k] as number) ^ 0x80;
        expect(equalBytes(bytes, other)).toBe(false);
        expect(startsWith(other, bytes)).toBe(false);
      }
    }
  });
});
