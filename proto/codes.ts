/**
 * Why an envelope, a login or a packet was not accepted. Names and numbers are frozen: receipts, metrics,
 * logs, the HTTP API and contracts of other people use them. A retired code keeps its number.
 */
export const CODES = {
  // Envelopes, refused for good: PUBACK and a receipt `refused`.
  ENVELOPE_TOO_LARGE: 1,
  ENVELOPE_MALFORMED: 2,
  VERSION_UNSUPPORTED: 3,
  STATEMENT_INVALID: 4,
  DEVICE_MISMATCH: 5,
  DEVICE_UNKNOWN: 6,
  DEVICE_REVOKED: 7,
  REALM_FOREIGN: 8,
  STREAM_UNKNOWN: 9,
  FORMAT_UNSUPPORTED: 10,
  SESSION_UNKNOWN: 11,
  SESSION_CLOSED: 12,
  TIME_IN_FUTURE: 13,
  TIME_TOO_OLD: 14,
  FRAME_MALFORMED: 15,
  STATEMENT_CONTRADICTED: 16,
  FRAMES_ROOT_MISMATCH: 17,
  SIGNATURE_INVALID: 18,
  RANGE_CONFLICT: 19,
  // Packets, refused by closing the connection, with a receipt `refused` where the device is known.
  TOPIC_FORBIDDEN: 32,
  QOS_UNSUPPORTED: 33,
  WILL_FORBIDDEN: 34,
  PACKET_TOO_LARGE: 35,
  HELLO_INVALID: 36,
  PACKET_MALFORMED: 37,
  CLIENT_SLOW: 38,
  // Logins, refused by CONNACK.
  PROTOCOL_UNSUPPORTED: 48,
  CLIENT_ID_INVALID: 49,
  LOGIN_INVALID: 50,
  LOGIN_REPLAYED: 51,
  // Not now: no PUBACK, a receipt `retry`.
  OVERLOADED: 64,
  DISK_FULL: 65,
  STOPPING: 66,
  SESSIONS_TOO_MANY: 67,
  // Stored and sealed, and yet no DAT: in a receipt `final`, which may also carry a code of the first group.
  ENTRY_DIFFERS: 80,
} as const;

export type Code = keyof typeof CODES;

/** Name of a code by its number, or null. */
export function codeFromNumber(value: number): Code | null {
  for (const code of Object.keys(CODES) as Code[]) if (CODES[code] === value) return code;
  return null;
}
