/** What a node's refusal of a transaction means. Their words differ; these are those of geth, reth, Erigon, Besu, Nethermind and anvil. */
export type SendRefusal =
  /** It is there already. */
  | 'known'
  /** Its nonce is used: maybe by itself. */
  | 'nonce-used'
  /** It offers too little, for the chain or for replacing another one. */
  | 'underpriced'
  | 'no-funds'
  /** As it is, it will never be taken: its gas limit does not fit. */
  | 'misfit'
  /** The node has no room, or no time. */
  | 'not-now'
  | 'other';

const WORDS: readonly (readonly [SendRefusal, RegExp])[] = [
  ['known', /already (known|imported|exists|in (the )?(mem)?pool)|known transaction|alreadyknown/i],
  [
    'underpriced',
    /underpriced|less than block base fee|below (the )?(current )?base ?fee|(fee|price)s? (is )?too low|feetoolow|could not replace|replacement (transaction|fee|not allowed)/i,
  ],
  [
    'nonce-used',
    /nonce (is )?too low|old nonce|oldnonce|nonce has already been used|invalid nonce/i,
  ],
  ['no-funds', /insufficient (funds|balance)|insufficientfunds|not enough (funds|balance)/i],
  [
    'misfit',
    /exceeds (the )?(block )?gas limit|gas limit (is )?too high|intrinsic gas (too )?low|oversized data/i,
  ],
  [
    'not-now',
    /pool is full|pool.*(full|limit)|rate.?limit|limit exceeded|too many|timed? ?out|timeout|try again|unavailable|syncing|internal error/i,
  ],
];

export function readSendRefusal(message: string): SendRefusal {
  return WORDS.find(([, words]) => words.test(message))?.[0] ?? 'other';
}
