import {
  equalBytes,
  INGEST_FLAGS,
  LOCAL_REALM,
  type PublicKey,
  realmOf,
  toHex,
  verifySignature,
} from '@waystone/proto';
import type { CommittedDataset, RegisteredKey } from '../forge/challenge-client.js';
import type { EntriesFile } from './entries-file.js';
import { type EntryFields, readEntryFields } from './entry-fields.js';
import { type Finding, type Findings, judgedKey, type Notes } from './findings.js';

/** As `EntryChallenges.REVOCATION_GRACE_SECONDS`. */
const GRACE_SECONDS = 86_400;

const TIME_BASE_UTC = 1;

/** As `LocalChains`: only there is the zero realm in order. */
const LOCAL_CHAIN_IDS: readonly number[] = [31_337, 1_337];

/** What is known of a device: its key, if anyone has it, and its record in the registry. */
export interface DeviceFacts {
  readonly key: PublicKey | null;
  readonly registered: RegisteredKey;
}

export interface EntrySearchInput {
  readonly chainId: number;
  readonly dataset: CommittedDataset;
  readonly entries: EntriesFile;
  /** By key id in hex; all devices of the dataset. */
  readonly devices: ReadonlyMap<string, DeviceFacts>;
}

/**
 * Holds single entries against the rules of `EntryChallenges`: signature, realm, registration, revocation, time. What it
 * finds is what the contract would uphold; what it cannot prove there it notes.
 */
export class EntrySearch {
  readonly #input: EntrySearchInput;
  readonly #findings: Findings;
  readonly #notes: Notes;
  readonly #realm: Uint8Array;
  readonly #isZeroRealmAllowed: boolean;

  constructor(input: EntrySearchInput, findings: Findings, notes: Notes) {
    this.#input = input;
    this.#findings = findings;
    this.#notes = notes;
    this.#realm = realmOf(input.chainId, input.dataset.record.idao);
    this.#isZeroRealmAllowed = LOCAL_CHAIN_IDS.includes(input.chainId);
  }

  /** @returns the fields and whether the signature is its device's, or null where no contract reads the entry. */
  judge(bytes: Uint8Array, index: number): { fields: EntryFields; isSigned: boolean } | null {
    const fields = readEntryFields(bytes);
    if (fields === null) {
      this.#notes.add(
        'not an entry of version 1, so no contract judges it',
        `entry ${index} has another tag or a reserved field set`,
      );
      return null;
    }
    const id = toHex(fields.device);
    const device = this.#input.devices.get(id);
    if (device === undefined) throw new TypeError(`nothing was looked up for device ${id}`);
    const isSigned = this.#judgeSignature(fields, device, id, index);
    this.#judgeRealm(fields, index);
    this.#judgeRegistration(fields, device.registered, id, index);
    this.#judgeTime(fields, index);
    return { fields, isSigned };
  }

  #judgeSignature(fields: EntryFields, { key }: DeviceFacts, id: string, index: number): boolean {
    if (key === null) {
      this.#notes.add(
        'signature of an unknown key',
        `entry ${index} is of key id ${id}, which neither the folder nor the registry's log has`,
      );
      return false;
    }
    if (verifySignature(key, fields.statement, fields.signature)) return true;
    const device = judgedKey(key);
    if (device === null) {
      this.#notes.add(
        `bad signature by a key of type ${key.type}, which no contract judges`,
        `entry ${index}`,
      );
      return false;
    }
    this.#add('signature', index, `entry ${index} is not signed by its device ${id}`, [device]);
    return false;
  }

  #judgeRealm({ realm }: EntryFields, index: number): void {
    if (equalBytes(realm, this.#realm)) return;
    if (this.#isZeroRealmAllowed && equalBytes(realm, LOCAL_REALM)) return;
    const detail = `entry ${index} was signed for realm ${toHex(realm)}, not for this chain and iDAO`;
    this.#add('realm', index, detail);
  }

  #judgeRegistration(
    fields: EntryFields,
    { registeredAt, revokedAt }: RegisteredKey,
    id: string,
    index: number,
  ): void {
    const { committedAt } = this.#input.dataset;
    if (registeredAt === 0 || registeredAt > committedAt) {
      const when = registeredAt === 0 ? 'never' : `only at ${timeOf(registeredAt)}`;
      const detail = `entry ${index} is of device ${id}, registered to this iDAO ${when}, committed at ${timeOf(committedAt)}`;
      this.#add('unregistered', index, detail);
    }
    const limit = revokedAt + GRACE_SECONDS;
    const isLate = fields.receivedAtUs > BigInt(limit) * 1_000_000n && committedAt > limit;
    const isClockTrusted = (fields.flags & INGEST_FLAGS.clockUntrusted) === 0;
    if (revokedAt !== 0 && isLate && isClockTrusted) {
      const detail = `entry ${index} was received more than a day after its device ${id} was revoked at ${timeOf(revokedAt)}`;
      this.#add('revoked', index, detail);
    }
  }

  #judgeTime({ timeBase, minTimeUs, maxTimeUs }: EntryFields, index: number): void {
    const { minTime, maxTime } = this.#input.dataset.record;
    if (timeBase !== TIME_BASE_UTC || (minTimeUs >= minTime && maxTimeUs <= maxTime)) return;
    const detail = `entry ${index} is of ${minTimeUs}..${maxTimeUs} µs, committed were ${minTime}..${maxTime}`;
    this.#add('time', index, detail);
  }

  #add(
    fault: Exclude<Finding['fault'], 'overlap' | 'fork' | 'receipt' | 'device'>,
    index: number,
    detail: string,
    more: readonly unknown[] = [],
  ): void {
    const { dataset, entries } = this.#input;
    const method = (
      {
        signature: 'challengeSignature',
        realm: 'challengeRealm',
        unregistered: 'challengeUnregistered',
        revoked: 'challengeRevoked',
        time: 'challengeTime',
      } as const
    )[fault];
    this.#findings.add({
      ...{ fault, key: dataset.key, entries: [index], detail },
      call: async () => ({ method, args: [dataset.record, await entries.proof(index), ...more] }),
    });
  }
}

function timeOf(seconds: number): string {
  return new Date(seconds * 1_000).toISOString();
}
