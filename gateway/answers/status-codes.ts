import type { ContentfulStatusCode } from 'hono/utils/http-status';

/** HTTP status of every error code that the API answers with; any other code is a fault of ours, 500. */
const STATUS: Readonly<Record<string, ContentfulStatusCode>> = {
  PARAMETER_INVALID: 400,
  BODY_INVALID: 400,
  DID_INVALID: 400,
  TOKEN_MISSING: 401,
  TOKEN_WRONG: 401,
  ROUTE_UNKNOWN: 404,
  DEVICE_UNKNOWN: 404,
  RELAY_UNKNOWN: 404,
  BATCH_UNKNOWN: 404,
  DATASET_UNKNOWN: 404,
  DATASET_REMOVED: 410,
  FILE_UNKNOWN: 404,
  FRAME_UNKNOWN: 404,
  FRAME_FORGOTTEN: 404,
  METHOD_UNSUPPORTED: 405,
  DEVICE_EXISTS: 409,
  DEVICE_REVOKED: 409,
  RELAY_EXISTS: 409,
  RELAY_LIMIT: 409,
  BACKUP_EXISTS: 409,
  BODY_TOO_LARGE: 413,
  HOST_FORBIDDEN: 421,
  OVERLOADED: 503,
  STOPPING: 503,
  NOT_READY: 503,
  DISK_FULL: 507,
};

export function statusOfCode(code: string): ContentfulStatusCode {
  return STATUS[code] ?? 500;
}
