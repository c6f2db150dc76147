/**
 * Part of a schema version: what makes the ledger's questions cost the same however much it holds. Nothing that is
 * asked for each envelope, or every so often, walks a table that grows for ever; `growth.test.ts` holds that.
 */
export const GROWTH_DDL = `
-- Whether a batch's receive times are of a clock that was trusted; such entries are not mixed with others.
ALTER TABLE batches ADD COLUMN clock_trusted INTEGER NOT NULL DEFAULT 1;

-- Sums over the batches that are not open, kept by the triggers below. Open batches are few and grow with every group.
CREATE TABLE batch_totals (
  state TEXT NOT NULL,
  is_removed INTEGER NOT NULL,
  batches INTEGER NOT NULL,
  entries INTEGER NOT NULL,
  bytes INTEGER NOT NULL,
  PRIMARY KEY (state, is_removed)
) WITHOUT ROWID;
INSERT INTO batch_totals
  SELECT state, removed_at_us IS NOT NULL, COUNT(*), SUM(entries), SUM(bytes) FROM batches
  WHERE state <> 'open' GROUP BY state, removed_at_us IS NOT NULL;
CREATE TRIGGER batch_totals_change AFTER UPDATE OF state, removed_at_us ON batches BEGIN
  UPDATE batch_totals
    SET batches = batches - 1, entries = entries - OLD.entries, bytes = bytes - OLD.bytes
    WHERE state = OLD.state AND is_removed = (OLD.removed_at_us IS NOT NULL);
  INSERT INTO batch_totals (state, is_removed, batches, entries, bytes)
    SELECT NEW.state, NEW.removed_at_us IS NOT NULL, 1, NEW.entries, NEW.bytes WHERE NEW.state <> 'open'
    ON CONFLICT DO UPDATE SET
      batches = batches + 1, entries = entries + excluded.entries, bytes = bytes + excluded.bytes;
END;

CREATE INDEX batches_unforged ON batches (clock_trusted)
  WHERE state IN ('open', 'due', 'frozen', 'logged', 'sealed', 'committed');
CREATE INDEX batches_to_forge ON batches (log_id, log_index) WHERE state IN ('sealed', 'committed');
CREATE INDEX batches_by_seal_time ON batches (sealed_at_us) WHERE sealed_at_us IS NOT NULL;
-- Forged datasets whose files are there: by age, and in the order in which they were begun.
CREATE INDEX batches_kept_by_age ON batches (forged_at_us) WHERE state = 'forged' AND removed_at_us IS NULL;
CREATE INDEX batches_kept ON batches (state) WHERE state = 'forged' AND removed_at_us IS NULL;

-- The newest datasets that were forged, for what they cost.
CREATE INDEX chain_intent_confirmed ON chain_intent (kind) WHERE state = 'confirmed';

CREATE INDEX chain_tx_pending ON chain_tx (chain_id, account, nonce) WHERE state IN ('signed', 'sent');

-- Sequences that are missing before the highest stored one of a session's stream.
CREATE TABLE gaps (
  session INTEGER NOT NULL REFERENCES sessions ON DELETE CASCADE,
  stream INTEGER NOT NULL,
  first INTEGER NOT NULL,
  last INTEGER NOT NULL,
  PRIMARY KEY (session, stream, first)
) WITHOUT ROWID;
INSERT INTO gaps
  SELECT session, stream, before + 1, first - 1 FROM (
    SELECT session, stream, first,
      LAG(last, 1, -1) OVER (PARTITION BY session, stream ORDER BY first) AS before
    FROM statements
  ) WHERE first > before + 1;
`;
