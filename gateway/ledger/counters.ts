import type Database from 'better-sqlite3';

/** Numbers of the last rows that the counts in the devices' rows contain. */
export interface CountedUpTo {
  readonly statements: number;
  readonly refusals: number;
}

interface Tally {
  envelopes: number;
  frames: number;
  refused: number;
  lastSeenUs: number;
}

/**
 * Envelopes, frames and refusals per device. Writing them with every group would touch a row per device, so
 * they are written now and then, together with how far they count; at start the rest is counted again.
 */
export class Counters {
  readonly #db: Database.Database;
  readonly #pending = new Map<number, Tally>();
  #duplicates = 0;
  #counted: CountedUpTo = { statements: 0, refusals: 0 };

  constructor(db: Database.Database) {
    this.#db = db;
    this.reload();
  }

  /**
   * Counts again what the tables hold beyond the marks: at start, and after a transaction was undone. Writes
   * nothing, since the disk may be full. Of what has no row, refusals beyond the cap, the last seconds are lost.
   */
  reload(): void {
    this.#pending.clear();
    this.#recount();
  }

  stored(device: number, frames: number, atUs: number): void {
    const tally = this.#tally(device, atUs);
    tally.envelopes += 1;
    tally.frames += frames;
  }

  refused(device: number, atUs: number): void {
    this.#tally(device, atUs).refused += 1;
  }

  duplicate(device: number, atUs: number): void {
    this.#tally(device, atUs);
    this.#duplicates += 1;
  }

  seen(device: number, atUs: number): void {
    this.#tally(device, atUs);
  }

  /** Duplicates since the start of the process. */
  get duplicates(): number {
    return this.#duplicates;
  }

  /** What lies beyond is counted from its rows after a crash, so it must not be removed. */
  get counted(): CountedUpTo {
    return this.#counted;
  }

  /** Writes what has gathered, with the marks up to which it counts; inside a transaction. */
  write(): void {
    if (this.#pending.size === 0) return;
    const update = this.#db.prepare(
      `UPDATE devices SET envelopes = envelopes + ?, frames = frames + ?, refused = refused + ?,
       last_seen_us = COALESCE(NULLIF(?, 0), last_seen_us) WHERE id = ?`,
    );
    for (const [device, tally] of this.#pending) {
      update.run(tally.envelopes, tally.frames, tally.refused, tally.lastSeenUs, device);
    }
    this.#mark();
    this.#pending.clear();
  }

  /** Rows beyond the marks were stored but not yet counted. */
  #recount(): void {
    this.#counted = this.#marks();
    const { statements, refusals } = this.#counted;
    const stored = this.#db
      .prepare(
        `SELECT sessions.device AS device, COUNT(*) AS envelopes, SUM(last - first + 1) AS frames
         FROM statements JOIN sessions ON sessions.id = statements.session
         WHERE statements.id > ? GROUP BY sessions.device`,
      )
      .all(statements) as { device: number; envelopes: number; frames: number }[];
    const refused = this.#db
      .prepare(
        'SELECT device, COUNT(*) AS refused FROM refusals WHERE id > ? AND device > 0 GROUP BY device',
      )
      .all(refusals) as { device: number; refused: number }[];
    for (const row of stored) {
      const tally = this.#tally(row.device, 0);
      tally.envelopes += row.envelopes;
      tally.frames += row.frames;
    }
    for (const row of refused) this.#tally(row.device, 0).refused += row.refused;
  }

  #marks(): CountedUpTo {
    const row = this.#db.prepare("SELECT value FROM meta WHERE key = 'counted'").get() as
      | { value: string }
      | undefined;
    return row === undefined ? { statements: 0, refusals: 0 } : JSON.parse(row.value);
  }

  #mark(): void {
    const marks = this.#db
      .prepare(
        `SELECT (SELECT COALESCE(MAX(id), 0) FROM statements) AS statements,
                (SELECT COALESCE(MAX(id), 0) FROM refusals) AS refusals`,
      )
      .get() as CountedUpTo;
    this.#counted = marks;
    this.#db
      .prepare("INSERT OR REPLACE INTO meta (key, value) VALUES ('counted', ?)")
      .run(JSON.stringify(marks));
  }

  #tally(device: number, atUs: number): Tally {
    let tally = this.#pending.get(device);
    if (tally === undefined) {
      tally = { envelopes: 0, frames: 0, refused: 0, lastSeenUs: 0 };
      this.#pending.set(device, tally);
    }
    // The last one, not the latest: after a clock was set back, last seen is not in the future for ever.
    if (atUs > 0) tally.lastSeenUs = atUs;
    return tally;
  }
}
