/** Wakes whoever waits for a condition to be looked at again. */
export class Signal {
  #waiting: (() => void)[] = [];

  /** Everyone that waits now goes on. */
  notify(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const wake of waiting) wake();
  }

  /** Resolves once `condition` holds; it is looked at now and after each `notify`. */
  async until(condition: () => boolean): Promise<void> {
    while (!condition()) await new Promise<void>((resolve) => this.#waiting.push(resolve));
  }
}
