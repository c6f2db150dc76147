/** Where tests kill the gateway while it forges: after each step that is durable or can be seen outside. */
export const FORGE_CRASH_POINTS = [
  'forge:intent',
  'forge:commit-signed',
  'forge:commit-sent',
  'forge:commit-mined',
  'forge:finalise-signed',
  'forge:finalise-sent',
  'forge:finalise-mined',
  'forge:persisted',
  'forge:confirmed',
] as const;

export type ForgeCrashPoint = (typeof FORGE_CRASH_POINTS)[number];
