import { type Code, ENVELOPE_BYTES_MAX } from '@waystone/proto';
import type { SteadyTime } from '../core/clock-watch.js';

/** What an operator sets; bytes and hours of 0 are no limit. */
export interface DiskLimits {
  /** Free space that new data leaves alone, so that what is stored can be sealed and forged. */
  readonly reservedBytes: number;
  /** Data that waits to be sealed. */
  readonly unsealedBytesMax: number;
  /** Data that is not forged yet, sealed or not. */
  readonly unforgedBytesMax: number;
  readonly unforgedHoursMax: number;
  /** Files of forged datasets: the oldest go when there are more, or when they are older. */
  readonly forgedBytesMax: number;
  readonly forgedDaysKept: number;
}

/** What the ledger says of the space in use. */
export interface DiskUse {
  /** Batch files. */
  readonly unsealedBytes: number;
  /** Folders of sealed datasets without a DAT. */
  readonly unforgedBytes: number;
  /** When the first batch without a DAT was begun by a trusted clock, µs UTC; null when there is none. */
  readonly oldestUnforgedUs: number | null;
  /** Folders of forged datasets that are still there. */
  readonly forgedBytes: number;
  /** The database. */
  readonly ledgerBytes: number;
  /** How much its WAL may still grow before it is begun anew. */
  readonly walRoomBytes: number;
  /** Bytes of data stored since the ledger began. */
  readonly everBytes: number;
}

/** Why new data is not taken now. */
export interface DiskRefusal {
  readonly code: Extract<Code, 'DISK_FULL' | 'OVERLOADED'>;
  readonly why: string;
}

/** Whether new data is taken, and how much more will be. */
export interface DiskVerdict {
  /** Data that fits while nothing is forged, once it is sealed. */
  readonly roomBytes: number;
  /** Hours until data that is not forged reaches its age limit; infinite without one. */
  readonly roomHours: number;
  /** Data that may be stored before the next look. */
  readonly takeBytes: number;
  readonly refusal: DiskRefusal | null;
}

const HOUR_US = 3_600_000_000;

/** With less to take than one envelope of the largest kind, some devices would be told to wait and others not. */
const TAKE_BYTES_MIN = ENVELOPE_BYTES_MAX;

/**
 * How much new data fits, and whether any is taken. Hours count only while ages can be told from the clock: one that
 * is set to another year must not stop the data.
 *
 * Sealing writes a batch once more before its file goes, so as much as waits to be sealed must stay free as well, and
 * new data takes its space twice for a while. The ledger's WAL grows while data is stored, and is not to grow into the
 * reserve.
 *
 * @param freeBytes free space of the file system for this process.
 */
export function judgeDisk(
  freeBytes: number,
  use: DiskUse,
  limits: DiskLimits,
  time: SteadyTime,
): DiskVerdict {
  const { reservedBytes, unsealedBytesMax, unforgedBytesMax, unforgedHoursMax } = limits;
  const unforged = use.unsealedBytes + use.unforgedBytes;
  const kept = reservedBytes === 0 ? 0 : reservedBytes + use.walRoomBytes;
  const free = freeBytes - kept - use.unsealedBytes;
  const quota = unforgedBytesMax === 0 ? Number.POSITIVE_INFINITY : unforgedBytesMax - unforged;
  const hours = use.oldestUnforgedUs === null ? 0 : (time.nowUs - use.oldestUnforgedUs) / HOUR_US;
  const hoursCount = time.doubt === '' && unforgedHoursMax > 0;
  const hoursMax = hoursCount ? unforgedHoursMax : Number.POSITIVE_INFINITY;
  const room = {
    roomBytes: Math.max(0, Math.min(free, quota)),
    roomHours: Math.max(0, hoursMax - hours),
  };
  const full = (code: DiskRefusal['code'], why: string): DiskVerdict => ({
    ...room,
    takeBytes: 0,
    refusal: { code, why },
  });
  if (free / 2 < TAKE_BYTES_MIN) {
    return full(
      'DISK_FULL',
      `${mib(freeBytes)} are free, ${mib(kept)} of them kept (disk.reservedBytes) and ${mib(use.unsealedBytes)} needed for sealing; free some space`,
    );
  }
  if (quota < TAKE_BYTES_MIN) {
    return full(
      'DISK_FULL',
      `${mib(unforged)} are not forged yet and disk.unforgedBytesMax is ${mib(unforgedBytesMax)}; see why forging waits, or raise it`,
    );
  }
  if (hours > hoursMax) {
    return full(
      'DISK_FULL',
      `data of ${Math.floor(hours)} hours ago is not forged yet and disk.unforgedHoursMax is ${unforgedHoursMax}; see why forging waits, or raise it`,
    );
  }
  if (unsealedBytesMax > 0 && use.unsealedBytes > unsealedBytesMax) {
    return full(
      'OVERLOADED',
      `${mib(use.unsealedBytes)} wait to be sealed and disk.unsealedBytesMax is ${mib(unsealedBytesMax)}; sealing is behind`,
    );
  }
  return { ...room, takeBytes: Math.min(free / 2, quota), refusal: null };
}

function mib(bytes: number): string {
  return `${(bytes / 2 ** 20).toFixed(bytes < 10 * 2 ** 20 ? 1 : 0)} MiB`;
}
