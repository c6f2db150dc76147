import { createHash } from 'node:crypto';
import {
  DATASET_FILES,
  keyId,
  leafHash,
  type PublicKey,
  parseDid,
  sha256,
  TreePeaks,
  toHex,
} from '@waystone/proto';
import { WaystoneError } from '../core/errors.js';
import { verifyNative } from '../core/native-signature.js';
import type { Offender } from '../core/withdrawal.js';
import { EntryRules, Overlaps } from '../dataset/entry-rules.js';
import { DatasetReader } from '../dataset/folder-reader.js';

/** What log and chain say of a dataset whose entries are to be judged. */
export interface InspectionFacts {
  readonly manifestHash: string;
  readonly count: number;
  readonly minTimeUs: number;
  readonly maxTimeUs: number;
  /** Key ids of devices that were revoked on chain, and when, µs. */
  readonly revoked: readonly (readonly [deviceId: string, atUs: number])[];
}

export interface Inspection {
  readonly offenders: readonly Offender[];
  /** Realm of the dataset, 64 hex digits. */
  readonly realm: string;
  /** The entries file. */
  readonly entries: { readonly bytes: number; readonly sha256: string };
}

/**
 * Reads the files of a dataset again, front to back, and judges every entry.
 *
 * @throws WaystoneError DATASET_DAMAGED when they are not what the log says: no entry is to blame for that.
 */
export async function inspectDataset(
  folder: string,
  root: string,
  facts: InspectionFacts,
): Promise<Inspection> {
  const dataset = await DatasetReader.open(folder);
  try {
    const { manifest } = dataset;
    const damaged = (what: string): WaystoneError =>
      new WaystoneError(
        'DATASET_DAMAGED',
        `dataset ${root} is not committed: ${what}. The disk lost or changed what was sealed; put the folder ${folder} back from a backup, and look at the disk`,
      );
    if (toHex(sha256(dataset.manifestBytes)) !== facts.manifestHash || manifest.root !== root) {
      throw damaged('its manifest is not the one in the log');
    }
    const { minTimeUs, maxTimeUs, revoked } = facts;
    const rules = new EntryRules({
      ...{ realm: manifest.realm, minTimeUs, maxTimeUs },
      keys: keysOf(await dataset.devices()),
      revokedAtUs: new Map(revoked),
      verifySignature: verifyNative,
    });
    const hash = createHash('sha256');
    const tree = new TreePeaks();
    let bytes = 0;
    for await (const { entries } of dataset.runs()) {
      for (const entry of entries) {
        hash.update(entry);
        bytes += entry.length;
        tree.append(leafHash(entry));
        rules.add(entry);
      }
    }
    const found = { bytes, sha256: toHex(hash.digest()) };
    const listed = manifest.files.find(({ name }) => name === DATASET_FILES.entries);
    if (tree.size !== facts.count || toHex(tree.root()) !== root) {
      throw damaged(`its entries give root ${toHex(tree.root())}`);
    }
    if (listed?.sha256 !== found.sha256) throw damaged('its entries file has another hash');
    if (rules.outside !== null) {
      throw damaged(
        `the times of entry ${rules.outside} are not within ${minTimeUs}..${maxTimeUs}`,
      );
    }
    const offenders = rules.hasOverlaps ? await withOverlaps(dataset, rules) : rules.offenders;
    return { offenders, realm: manifest.realm, entries: found };
  } finally {
    await dataset.close();
  }
}

/** A second walk, for the rare dataset that needs it: of two entries over one sequence the later one offends. */
async function withOverlaps(dataset: DatasetReader, rules: EntryRules): Promise<Offender[]> {
  const codes = new Map(rules.offenders.map(({ index, code }) => [index, code]));
  const overlaps = new Overlaps();
  for await (const { first, entries } of dataset.runs()) {
    for (const [k, entry] of entries.entries()) {
      if (!codes.has(first + k) && overlaps.add(entry)) codes.set(first + k, 'RANGE_CONFLICT');
    }
  }
  return [...codes].map(([index, code]) => ({ index, code })).sort((a, b) => a.index - b.index);
}

function keysOf(dids: readonly string[]): Map<string, PublicKey> {
  const keys = new Map<string, PublicKey>();
  for (const did of dids) {
    const key = parseDid(did);
    if (key !== null) keys.set(toHex(keyId(key)), key);
  }
  return keys;
}
