/** A connection as the sweep sees it; times are ms of `performance.now()`. */
export interface Watched {
  readonly guard: {
    readonly isHeld: boolean;
    readonly hasConnect: boolean;
    /** When it began, or when its last packet came whole. */
    readonly lastPacketAtMs: number;
    readonly unsentBytes: number;
    /** Bytes that the client has taken so far. */
    readonly sentBytes: number;
  };
  /** Longest silence between two packets after CONNECT, ms. */
  readonly silenceMaxMs: number;
  /** {@link Watched.guard.sentBytes} when something last waited; and when that was seen to grow, or nothing to wait. */
  sentBytes: number;
  sentAtMs: number;
}

export interface SilenceLimits {
  readonly connectTimeoutSeconds: number;
  readonly slowReaderSeconds: number;
  readonly keepAliveSecondsMax: number;
}

/** Why a connection is ended. */
export type Overdue = 'connect timeout' | 'keep-alive' | 'slow reader';

/**
 * How long a client may be silent, ms: one and a half times the keep-alive that it asked for (MQTT 3.1.1
 * §3.1.2.10), held to our own largest one when it asked for more, or for none.
 */
export function silenceMaxMs(keepAliveSeconds: number, limits: SilenceLimits): number {
  const isOurs = keepAliveSeconds === 0 || keepAliveSeconds > limits.keepAliveSecondsMax;
  return (isOurs ? limits.keepAliveSecondsMax : keepAliveSeconds) * 1500;
}

/** Whether a connection has to end now. Called every second or so for each, it notes what was sent. */
export function overdue(watched: Watched, nowMs: number, limits: SilenceLimits): Overdue | null {
  const { guard } = watched;
  if (guard.unsentBytes === 0) watched.sentAtMs = nowMs;
  else if (guard.sentBytes > watched.sentBytes) {
    watched.sentBytes = guard.sentBytes;
    watched.sentAtMs = nowMs;
  } else if (nowMs - watched.sentAtMs > limits.slowReaderSeconds * 1000) return 'slow reader';
  // Whom we do not read cannot be heard; the time counts anew once we do.
  if (guard.isHeld) return null;
  const silentMs = nowMs - guard.lastPacketAtMs;
  if (!guard.hasConnect) {
    return silentMs > limits.connectTimeoutSeconds * 1000 ? 'connect timeout' : null;
  }
  return silentMs > watched.silenceMaxMs ? 'keep-alive' : null;
}
