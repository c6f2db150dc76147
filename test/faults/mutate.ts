import type { Random } from './random.js';

/** Bytes at the edges of what a reader may expect. */
const EDGES = [0x00, 0x01, 0x7f, 0x80, 0xff];

/** Random bytes. */
export function randomBytesFrom(random: Random, count: number): Buffer {
  return Buffer.from(Uint8Array.from({ length: count }, () => random.below(256)));
}

/** A copy of `bytes` with one to four changes; it differs from them. */
export function mutated(bytes: Uint8Array, random: Random): Buffer {
  for (;;) {
    let changed: Buffer = Buffer.from(bytes);
    for (let k = 1 + random.below(4); k > 0; k--) changed = change(changed, random);
    if (!changed.equals(bytes)) return changed;
  }
}

function change(bytes: Buffer, random: Random): Buffer {
  const at = random.below(bytes.length + 1);
  const some = Math.min(1 + random.below(16), bytes.length - at);
  switch (random.below(7)) {
    case 0: // A bit.
      if (at < bytes.length) bytes[at] = (bytes[at] as number) ^ (1 << random.below(8));
      return bytes;
    case 1: // A byte.
      if (at < bytes.length) bytes[at] = EDGES[random.below(EDGES.length)] as number;
      return bytes;
    case 2: // A few bytes.
      randomBytesFrom(random, some).copy(bytes, at);
      return bytes;
    case 3: // Less.
      return Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + some)]);
    case 4: // More.
      return Buffer.concat([
        bytes.subarray(0, at),
        randomBytesFrom(random, 1 + random.below(16)),
        bytes.subarray(at),
      ]);
    case 5: // Twice.
      return Buffer.concat([bytes.subarray(0, at + some), bytes.subarray(at)]);
    default: // The beginning only.
      return Buffer.from(bytes.subarray(0, at));
  }
}

/** Cuts bytes into up to `pieces` pieces at random places. */
export function cut(bytes: Buffer, pieces: number, random: Random): Buffer[] {
  const cuts = Array.from({ length: random.below(pieces) }, () => random.below(bytes.length + 1));
  const edges = [0, ...cuts.sort((a, b) => a - b), bytes.length];
  return edges
    .slice(1)
    .map((end, k) => bytes.subarray(edges[k], end))
    .filter((piece) => piece.length > 0);
}
