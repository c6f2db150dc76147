import { existsSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { replaceFile, syncFolderNow } from './durable.js';

/** File of the data folder that is there while forging is paused. */
const PAUSE_FILE = 'forge-paused';

/** Whether new datasets go on chain, as the operator wants it; kept over restarts. */
export class ForgePause {
  readonly #folder: string;
  #isOn: boolean;

  constructor(dataFolder: string) {
    this.#folder = dataFolder;
    this.#isOn = existsSync(this.#file);
  }

  get isOn(): boolean {
    return this.#isOn;
  }

  /** On disk when it returns. */
  set(isOn: boolean): void {
    if (isOn === this.#isOn) return;
    if (isOn) {
      replaceFile(this.#file, 'waystone forge resume ends it\n');
    } else {
      rmSync(this.#file, { force: true });
      syncFolderNow(this.#folder);
    }
    this.#isOn = isOn;
  }

  get #file(): string {
    return join(this.#folder, PAUSE_FILE);
  }
}
