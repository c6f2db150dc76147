/** Where the CLI writes to and what it knows of its surroundings; tests bring their own. */
export interface Terminal {
  /** Standard output; the caller ends lines. */
  out(text: string): void;
  /** Standard error. */
  err(text: string): void;
  /** Whether standard output is a terminal that people look at. */
  readonly isTty: boolean;
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** Now, ms since 1970-01-01 UTC. */
  nowMs(): number;
}

export const processTerminal: Terminal = {
  out: (text) => process.stdout.write(text),
  err: (text) => process.stderr.write(text),
  isTty: process.stdout.isTTY === true,
  environment: process.env,
  nowMs: () => Date.now(),
};
