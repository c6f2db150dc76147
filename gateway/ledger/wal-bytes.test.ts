import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { didFromKey } from '@waystone/proto';
import { expect, it } from 'vitest';
import { RANGE_LIMITS } from './ranges.js';
import { makeEnvelope, quickKey, TestLedger } from './testing.js';
import { PAGE_BYTES } from './wal-keeper.js';

const NOW_US = 1_800_000_000_000_000;
const SESSIONS = Number(process.env.WAYSTONE_WAL_SESSIONS ?? 50);
const COMMITS = 1000;
const ENVELOPES_EACH = 12;
/** What each session has stored before: enough that sessions do not share pages of what is sorted by session. */
const STORED_BEFORE = 400;

/** Of SQLite's header of a page in the WAL, and of the WAL itself. */
const FRAME_HEADER_BYTES = 24;
const WAL_HEADER_BYTES = 32;

it('writes few pages for a small commit group, however many sessions its envelopes are of', () => {
  const folder = mkdtempSync(join(tmpdir(), 'waystone-wal-bytes-'));
  const file = join(folder, 'ledger.sqlite');
  const ledger = new TestLedger(file, { entriesMax: 1_000_000 });
  // Pages are counted here, not power cuts.
  ledger.db.pragma('synchronous = OFF');
  const key = quickKey('Ed25519', 'device of many sessions');
  const names = Array.from({ length: SESSIONS }, (_, k) => k.toString(16).padStart(32, '0'));
  ledger.commit([], () => {
    for (let k = 0; k < SESSIONS; k++) {
      const other = k === 0 ? key : quickKey('Ed25519', `device ${k}`);
      ledger.calls.enrol(didFromKey(other.publicKey), '', NOW_US);
      ledger.calls.enter(k + 1, names[k] as string, 1, NOW_US);
    }
  });
  const next = names.map(() => 0);
  const item = (k: number) => {
    const session = names[k] as string;
    const first = next[k] as number;
    next[k] = first + 1;
    return { device: k + 1, payload: makeEnvelope(key, { session, first }) };
  };
  for (let round = 0; round < STORED_BEFORE; round++) ledger.commit(names.map((_, k) => item(k)));
  ledger.db.pragma('wal_checkpoint(TRUNCATE)');
  ledger.db.pragma('wal_autocheckpoint = 0');
  const pagesInWal = (): number =>
    (statSync(`${file}-wal`).size - WAL_HEADER_BYTES) / (FRAME_HEADER_BYTES + PAGE_BYTES);
  let stored = 0;
  const pagesOf: number[] = [];
  let pages = 0;
  for (let commit = 0; commit < COMMITS; commit++) {
    const group = Array.from({ length: ENVELOPES_EACH }, (_, k) =>
      item((7 * (commit * ENVELOPES_EACH + k)) % SESSIONS),
    );
    for (const { kind } of ledger.commit(group)) if (kind === 'stored') stored += 1;
    pagesOf.push(pagesInWal() - pages);
    pages += pagesOf.at(-1) as number;
  }
  expect(stored).toBe(COMMITS * ENVELOPES_EACH);
  const most = Math.max(...pagesOf);
  const mebibytes = (pages * (FRAME_HEADER_BYTES + PAGE_BYTES)) / 2 ** 20;
  console.log(
    `${COMMITS} commits of ${ENVELOPES_EACH} envelopes over ${SESSIONS} sessions: ${pages} pages in the WAL, ` +
      `${mebibytes.toFixed(1)} MiB, ${(pages / COMMITS).toFixed(2)} pages a commit, at most ${most}`,
  );
  // Two or three of them are the bytes of the envelopes, until their file is synced. With an index that each statement
  // is written into at once, 50 sessions would take ten more.
  expect(pages / COMMITS).toBeLessThan(10);
  // Nor is it all put off to one commit that takes long.
  expect(most).toBeLessThan(RANGE_LIMITS.stepStreams + 40);
  ledger.crash();
  rmSync(folder, { recursive: true, force: true });
});
