/** scrypt of a relay's secret (RFC 7914, N 2^14, r 8, p 1) and its salt. */
export interface SecretHash {
  /** 16 bytes. */
  readonly salt: Uint8Array;
  /** 32 bytes. */
  readonly hash: Uint8Array;
}

/**
 * Who may publish for other devices: a bridge of another broker, or a box that speaks for devices without a
 * network of their own. It carries their envelopes and hellos and gets their receipts; it can sign nothing
 * for them.
 */
export interface RelayRecord {
  /** The ledger's own small integer for it. */
  readonly id: number;
  /** Its MQTT user name. */
  readonly name: string;
  /** How it logs in: with a secret of which only the hash is kept, or as the enrolled device with this id. */
  readonly login: SecretHash | { readonly device: number };
  /** Ids of the devices that it carries, or null for every device of this gateway. */
  readonly devices: ReadonlySet<number> | null;
  readonly addedAtUs: number;
}

/** What makes a relay; devices are named by did:key. */
export interface NewRelay {
  readonly name: string;
  readonly login: SecretHash | { readonly did: string };
  /** null for every device of this gateway. */
  readonly devices: readonly string[] | null;
}

/** Names of relays: no did:key, so that no user name means both, and short enough for a log line. */
export const RELAY_NAME = /^[a-z0-9][a-z0-9-]{0,31}$/;

/** Whether a relay carries a device. */
export function carries(relay: RelayRecord, device: number): boolean {
  return relay.devices === null || relay.devices.has(device);
}
