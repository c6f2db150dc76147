import { expect, it } from 'vitest';
import { systemLibrary } from '../../gateway/core/secp256k1.js';

// With it there, the tests of the gateway's core run every published vector through it.
it("takes Debian's libsecp256k1", () => {
  expect(systemLibrary()).not.toBeNull();
});
