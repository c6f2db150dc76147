import { fromHex, KEY_TYPES, keyFromDid, keyId, toHex } from '@waystone/proto';
import type Database from 'better-sqlite3';
import type { ForgeDataset, ForgeDatasetId, ForgeResult } from '../core/forge-ports.js';
import type { DatStatus } from '../core/view.js';

/** What forging reads and writes of the batches: the way from sealed to forged. */
export function forgeDatasetOperations(db: Database.Database) {
  const devicesOf = db
    .prepare<[number], string>(
      `SELECT did FROM devices JOIN batch_devices ON batch_devices.device = devices.id
       WHERE batch_devices.batch = ? ORDER BY devices.id`,
    )
    .pluck();
  const setCommitted = db.prepare(
    "UPDATE batches SET state = 'committed' WHERE log_id = ? AND log_index = ?",
  );
  const setForged = db.prepare(
    `UPDATE batches SET state = 'forged', token = ?, forged_at_us = COALESCE(forged_at_us, ?)
     WHERE log_id = ? AND log_index = ?`,
  );
  return {
    /** Sealed batches without a token, in log order. */
    forgeReady: (limit: number): Omit<ForgeDataset, 'url'>[] => {
      const rows = db
        .prepare(
          `SELECT id, log_id, log_index, root, entries, manifest_hash, min_time_us, max_time_us FROM batches
           WHERE state IN ('sealed', 'committed') ORDER BY log_id, log_index LIMIT ?`,
        )
        .all(limit) as {
        id: number;
        log_id: Buffer;
        log_index: number;
        root: Buffer;
        entries: number;
        manifest_hash: Buffer;
        min_time_us: number;
        max_time_us: number;
      }[];
      return rows.map((row) => ({
        logId: toHex(row.log_id),
        index: row.log_index,
        root: toHex(row.root),
        count: row.entries,
        manifestHash: toHex(row.manifest_hash),
        minTimeUs: row.min_time_us,
        maxTimeUs: row.max_time_us,
        devices: devicesOf.all(row.id).map((did) => {
          const key = keyFromDid(did);
          return {
            deviceId: toHex(keyId(key)),
            keyType: KEY_TYPES[key.type],
            publicKey: toHex(key.bytes),
          };
        }),
      }));
    },
    forgeCommitted: (id: ForgeDatasetId): void => {
      setCommitted.run(fromHex(id.logId), id.index);
    },
    /** @param nowUs when, µs; null when the clock cannot tell. */
    forgeForged: (result: ForgeResult, nowUs: number | null): void => {
      const dat: DatStatus = {
        target: result.lazai === undefined ? 'waystone' : 'lazai',
        tokenId: result.tokenId,
        classId: result.classId,
        owner: result.owner,
        chainId: result.chainId,
        contract: result.dat,
        transaction: result.transaction ?? '',
        ...(result.lazai !== undefined && { lazai: result.lazai }),
      };
      setForged.run(JSON.stringify(dat), nowUs, fromHex(result.logId), result.index);
    },
  };
}
