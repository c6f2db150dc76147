import { toHex } from './bytes.js';
import { type Entry, INGEST_FLAGS } from './entry.js';
import { decodeFrame, wire } from './frame.js';
import { scanFrame, scanned } from './frame-scan.js';
import type { Manifest, ManifestDevice, ManifestQuality } from './manifest.js';
import { type Statement, TIME_BASES } from './statement.js';

/** What the entries and frames of a dataset say, taken together; the part of a manifest that follows from them. */
export type DatasetFacts = Pick<
  Manifest,
  'entries' | 'frames' | 'frameBytes' | 'time' | 'received' | 'coverage' | 'devices' | 'quality'
>;

interface DeviceTally {
  did: string;
  entries: number;
  frames: number;
  sessions: Map<string, [number, number][]>;
}

/**
 * Gathers {@link DatasetFacts}, one entry at a time, in the dataset's order. The sealer and the verifier run
 * this same code over the same bytes, so a manifest that says anything else is caught.
 */
export class DatasetSummary {
  #entries = 0;
  #frames = 0;
  #frameBytes = 0;
  readonly #utc = new Range();
  readonly #received = new Range();
  readonly #latitude = new Range();
  readonly #longitude = new Range();
  readonly #devices = new Map<string, DeviceTally>();
  readonly #fixes = new Map<number, number>();
  #imuSamples = 0;
  #wheelSpeeds = 0;
  #canFrames = 0;
  #blobs = 0;
  #lossReports = 0;
  #clockUntrusted = 0;

  /**
   * @param entry the entry, and its statement as {@link readStatement} reads it.
   * @param frames the exact bytes of its frames.
   * @param did did:key of the device that signed it.
   * @throws RangeError when a frame cannot be read.
   */
  add(
    entry: Pick<Entry, 'receivedAtUs' | 'flags'>,
    statement: Statement,
    frames: readonly Uint8Array[],
    did: string,
  ): void {
    this.#entries += 1;
    this.#frames += frames.length;
    this.#received.add(entry.receivedAtUs);
    if ((entry.flags & INGEST_FLAGS.clockUntrusted) !== 0) this.#clockUntrusted += 1;
    if (statement.timeBase === TIME_BASES.utc) {
      this.#utc.add(statement.minTimeUs);
      this.#utc.add(statement.maxTimeUs);
    }
    const device = this.#device(did);
    device.entries += 1;
    device.frames += frames.length;
    const session = toHex(statement.session);
    let runs = device.sessions.get(session);
    if (runs === undefined) {
      runs = [];
      device.sessions.set(session, runs);
    }
    const before = runs.at(-1);
    const last = statement.firstSequence + statement.count - 1;
    // Most statements follow on from the one before.
    if (before !== undefined && statement.firstSequence === before[1] + 1) before[1] = last;
    else runs.push([statement.firstSequence, last]);
    for (const frame of frames) this.#addFrame(frame);
  }

  /** @throws RangeError when nothing was added. */
  facts(): DatasetFacts {
    if (this.#entries === 0) throw new RangeError('a dataset needs at least one entry, got none');
    const quality: ManifestQuality = {
      positions: [...this.#fixes.values()].reduce((sum, count) => sum + count, 0),
      fixes: Object.fromEntries([...this.#fixes].map(([fix, count]) => [fixName(fix), count])),
      imuSamples: this.#imuSamples,
      wheelSpeeds: this.#wheelSpeeds,
      canFrames: this.#canFrames,
      blobs: this.#blobs,
      lossReports: this.#lossReports,
      clockUntrusted: this.#clockUntrusted,
    };
    const facts: DatasetFacts = {
      entries: this.#entries,
      frames: this.#frames,
      frameBytes: this.#frameBytes,
      time: this.#utc.isEmpty
        ? { base: 'received', ...this.#received.micros() }
        : { base: 'utc', ...this.#utc.micros() },
      received: this.#received.micros(),
      devices: [...this.#devices.values()].map(describeDevice).sort(byDid),
      quality,
    };
    if (this.#latitude.isEmpty) return facts;
    const coverage = {
      southE9: this.#latitude.min,
      westE9: this.#longitude.min,
      northE9: this.#latitude.max,
      eastE9: this.#longitude.max,
    };
    return { ...facts, coverage };
  }

  #device(did: string): DeviceTally {
    let tally = this.#devices.get(did);
    if (tally === undefined) {
      tally = { did, entries: 0, frames: 0, sessions: new Map() };
      this.#devices.set(did, tally);
    }
    return tally;
  }

  #addFrame(bytes: Uint8Array): void {
    this.#frameBytes += bytes.length;
    // Most frames need no decoding.
    if (scanFrame(bytes) >= 0) {
      this.#imuSamples += scanned.imuSamples;
      this.#wheelSpeeds += scanned.wheelSpeeds;
      this.#canFrames += scanned.canFrames;
      if (scanned.hasPosition) {
        this.#addPosition(scanned.latitudeE9, scanned.longitudeE9, scanned.fix);
      }
      return;
    }
    const frame = decodeFrame(bytes);
    this.#imuSamples += frame.imu?.length ?? 0;
    this.#wheelSpeeds += frame.wheelSpeeds?.length ?? 0;
    this.#canFrames += frame.can?.length ?? 0;
    this.#blobs += frame.blobs?.length ?? 0;
    if (frame.discarded != null) this.#lossReports += 1;
    const position = frame.position;
    if (position == null) return;
    this.#addPosition(position.latitudeE9 ?? 0, position.longitudeE9 ?? 0, position.fix ?? 0);
  }

  #addPosition(latitudeE9: number, longitudeE9: number, fix: number): void {
    this.#latitude.add(latitudeE9);
    this.#longitude.add(longitudeE9);
    this.#fixes.set(fix, (this.#fixes.get(fix) ?? 0) + 1);
  }
}

class Range {
  min = Number.POSITIVE_INFINITY;
  max = Number.NEGATIVE_INFINITY;

  add(value: number): void {
    if (value < this.min) this.min = value;
    if (value > this.max) this.max = value;
  }

  get isEmpty(): boolean {
    return this.min > this.max;
  }

  micros(): { minUs: number; maxUs: number } {
    return { minUs: this.min, maxUs: this.max };
  }
}

function describeDevice(tally: DeviceTally): ManifestDevice {
  const sessions = [...tally.sessions]
    .map(([session, runs]) => ({ session, sequences: mergeRuns(runs) }))
    .sort((a, b) => (a.session < b.session ? -1 : 1));
  return { did: tally.did, entries: tally.entries, frames: tally.frames, sessions };
}

/** Joins runs that touch; the input's order does not matter. */
function mergeRuns(runs: [number, number][]): [number, number][] {
  const merged: [number, number][] = [];
  for (const [first, last] of [...runs].sort((a, b) => a[0] - b[0])) {
    const before = merged[merged.length - 1];
    if (before !== undefined && first <= before[1] + 1) before[1] = Math.max(before[1], last);
    else merged.push([first, last]);
  }
  return merged;
}

function byDid(a: ManifestDevice, b: ManifestDevice): number {
  return a.did < b.did ? -1 : 1;
}

/** `FIX_TYPE_RTK_FIXED` → `rtk_fixed`; numbers that this release does not know are `type_<n>`. */
function fixName(value: number): string {
  const name: string | undefined = wire.FixType[value];
  return name === undefined ? `type_${value}` : name.replace('FIX_TYPE_', '').toLowerCase();
}
