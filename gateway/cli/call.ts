import type { Command } from 'commander';
import { homeFolder } from '../config/index.js';
import { ApiClient } from './api-client.js';
import { findEndpoint } from './endpoint.js';
import type { Parts } from './parts.js';
import type { Terminal } from './terminal.js';

/** Options that every command has. */
interface CommonOptions {
  readonly home?: string;
  readonly url?: string;
  readonly json?: boolean;
  readonly verbose?: boolean;
}

/** One call of a command: its options, and where its answer goes. */
export class Call<Options extends object = object> {
  readonly options: Readonly<CommonOptions & Options>;
  readonly terminal: Terminal;
  readonly parts: Parts;

  constructor(command: Command, terminal: Terminal, parts: Parts) {
    this.options = command.optsWithGlobals();
    this.terminal = terminal;
    this.parts = parts;
  }

  get home(): string {
    return homeFolder({ home: this.options.home, environment: this.terminal.environment });
  }

  /** The API of the running gateway. */
  async api(): Promise<ApiClient> {
    const { home, url } = this.options;
    const { environment } = this.terminal;
    return new ApiClient(await findEndpoint({ home, url, environment }));
  }

  /** Writes the answer: with `--json` the value, else the text for people. */
  print(value: unknown, text: () => string): void {
    this.terminal.out(this.options.json ? `${JSON.stringify(value, null, 2)}\n` : text());
  }
}
