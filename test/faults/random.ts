/** Numbers that follow from a seed alone, so that a round that failed can be run again. */
export interface Random {
  /** 0 to just below `end`. */
  below(end: number): number;
}

/** Mulberry32: 32 bits of state, good enough to scatter instants. */
export function randomFrom(seed: number): Random {
  let state = seed >>> 0;
  const next = (): number => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
  return { below: (end) => Math.floor(next() * end) };
}
