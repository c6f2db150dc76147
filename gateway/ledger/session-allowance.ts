import type Database from 'better-sqlite3';
import type { SessionLimits } from '../core/config.js';

const DAY_US = 86_400_000_000;

/**
 * How many new sessions a device may open. Each one leaves something in the ledger for ever, if only the mark that
 * refuses it when it is replayed, so their rate bounds what a device can cost.
 *
 * A device's row holds the time at which its allowance is whole again: one number, written with the session that
 * it pays for, so that a restart does not give a new allowance and no session has to be counted.
 */
export class SessionAllowance {
  readonly #everyUs: number;
  readonly #burstUs: number;
  readonly #get: Database.Statement;
  readonly #set: Database.Statement;

  constructor(db: Database.Database, limits: SessionLimits) {
    this.#everyUs = Math.ceil(DAY_US / limits.newPerDayMax);
    this.#burstUs = this.#everyUs * limits.newBurstMax;
    this.#get = db.prepare('SELECT sessions_whole_at_us FROM devices WHERE id = ?').pluck();
    this.#set = db.prepare('UPDATE devices SET sessions_whole_at_us = ? WHERE id = ?');
  }

  /** µs until the device may open so many sessions; 0 is now. */
  wait(device: number, sessions: number, nowUs: number): number {
    return Math.max(0, this.#wholeAt(device, sessions, nowUs) - nowUs - this.#burstUs);
  }

  /** Takes so many sessions off the allowance; ask {@link wait} first. */
  take(device: number, sessions: number, nowUs: number): void {
    this.#set.run(this.#wholeAt(device, sessions, nowUs), device);
  }

  /** When the allowance would be whole again after so many more sessions. */
  #wholeAt(device: number, sessions: number, nowUs: number): number {
    const wholeAtUs = (this.#get.get(device) as number | undefined) ?? 0;
    // Further ahead than any burst leads: the clock went back since. A device must not wait for years because the
    // gateway once believed to be in the future, nor at each start of a gateway whose clock begins in 1970.
    const isFromElsewhen = wholeAtUs - nowUs > this.#burstUs;
    const fromUs = isFromElsewhen ? nowUs : Math.max(wholeAtUs, nowUs);
    return fromUs + sessions * this.#everyUs;
  }
}
