/** Where tests end forging on LazAI: after each step that is durable or can be seen outside. */
export const LAZAI_CRASH_POINTS = [
  'lazai:intent',
  'lazai:register-signed',
  'lazai:register-sent',
  'lazai:register-mined',
  'lazai:reserved',
  'lazai:request-signed',
  'lazai:request-sent',
  'lazai:request-mined',
  'lazai:ask-noted',
  'lazai:asked',
  'lazai:proven',
  'lazai:reward-signed',
  'lazai:reward-sent',
  'lazai:reward-mined',
  'lazai:rewarded',
  'lazai:confirmed',
] as const;

export type LazaiCrashPoint = (typeof LAZAI_CRASH_POINTS)[number];
