import { createHash } from 'node:crypto';
import { cpSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { realmOf } from '@waystone/proto';
import Database from 'better-sqlite3';
import type { GatewayStatus } from '../../gateway/core/view.js';
import { frame, TestDevice } from '../harness/device.js';
import { GatewayProcess, makeHome } from '../harness/gateway.js';
import { DeviceClient } from '../harness/mqtt.js';
import { sealAndForge } from './at-rest.js';

/** The chain's clock counts whole seconds; frames lie before it, µs. */
const BEFORE_US = 10_000_000;

/** Frames of a group whose batch file is synced: of fewer bytes the ledger holds a copy, which heals what a test damages. */
const SYNCED_FRAMES = 1000;

/** Batches close when they have so many entries, and at no age. */
const FULL = 4;

export const SCENE_OPTIONS = {
  network: 'local' as const,
  set: [`batch.entriesMax=${FULL}`, 'batch.entriesMin=1', 'batch.ageSecondsMax=3600'],
};

/** What a gateway that was killed with SIGKILL left behind. */
export interface Scene {
  readonly home: string;
  /** Envelopes that were acknowledged, with the receipts of each. */
  readonly stored: readonly {
    readonly device: TestDevice;
    readonly payload: Uint8Array;
    readonly receipt: Uint8Array;
  }[];
}

/**
 * A home with something of everything: batch 1 forged, batch 2 sealed and on its way to the chain, batch 3 open, a relay,
 * a refusal, a WAL that no checkpoint has emptied. Killed while a transaction was under way.
 */
export async function makeScene(): Promise<Scene> {
  const home = await makeHome();
  const stored: { device: TestDevice; payload: Uint8Array; receipt: Uint8Array }[] = [];
  let gateway = await GatewayProcess.start(home, SCENE_OPTIONS);
  const { chain } = await gateway.ask<GatewayStatus>('GET', '/v1/status');
  const realm = realmOf(chain.chainId, chain.idao);
  const devices = (['secp256k1', 'P-256', 'Ed25519'] as const).map(
    (type) => new TestDevice(gateway.did, type),
  );
  const [first, second, third] = devices as [TestDevice, TestDevice, TestDevice];

  const publish = async (device: TestDevice, envelopes: number, count = 2): Promise<void> => {
    const client = await DeviceClient.open(gateway, device);
    for (let k = 0; k < envelopes; k++) {
      const timeUs = Date.now() * 1000 - BEFORE_US;
      const frames = Array.from({ length: count }, (_, at) => frame({ timeUs: timeUs + at }));
      const statement = { realm, minTimeUs: timeUs, maxTimeUs: timeUs + count - 1 };
      const payload = await device.envelope({ frames, statement });
      const { bytes } = await client.deliver(payload);
      stored.push({ device, payload, receipt: bytes });
    }
    client.raw.cut();
  };

  for (const device of devices) await gateway.enrol(device.did);
  await gateway.ask('POST', '/v1/relays', { name: 'depot', devices: [first.did] });
  await publish(first, 2);
  await publish(second, 1);
  const client = await DeviceClient.open(gateway, first);
  await client.deliver(await first.envelope({ editSignature: (bytes) => bytes.fill(7) }));
  client.raw.cut();
  await sealAndForge(gateway);
  await gateway.kill();

  gateway = await GatewayProcess.start(home, {
    ...SCENE_OPTIONS,
    environment: { WAYSTONE_TEST_CRASH_AT: 'forge:commit-sent' },
  });
  await publish(third, FULL - 2);
  await publish(third, 1, SYNCED_FRAMES);
  await publish(first, FULL);
  const { signal } = await gateway.exited;
  if (signal !== 'SIGKILL')
    throw new Error(`the gateway was not killed while it forged: ${signal}`);
  return { home, stored };
}

/** Copies come and go by the hundred, and nobody asks whether they are on disk: in memory where the system has such a place. */
const COPIES = existsSync('/dev/shm') ? '/dev/shm' : tmpdir();

/** A copy that may be damaged. */
export function copyHome(home: string): string {
  const copy = mkdtempSync(join(COPIES, 'waystone-fsck-'));
  cpSync(home, copy, { recursive: true, preserveTimestamps: true });
  return copy;
}

export function removeCopy(home: string): void {
  rmSync(home, { recursive: true, force: true });
}

/** Changes the ledger as no gateway would: none of its rules hold. */
export function changeLedger(home: string, ...statements: string[]): void {
  const db = new Database(join(home, 'data', 'ledger.sqlite'));
  db.pragma('foreign_keys = OFF');
  db.pragma('ignore_check_constraints = ON');
  for (const sql of statements) {
    const { changes } = db.prepare(sql).run();
    if (changes === 0 && /^(UPDATE|DELETE)/.test(sql)) throw new Error(`changed nothing: ${sql}`);
  }
  db.close();
}

/** Reads one value of the ledger, without leaving anything behind. */
export function ledgerValue<T>(home: string, sql: string): T {
  const db = new Database(join(home, 'data', 'ledger.sqlite'));
  try {
    return db.prepare(sql).pluck().get() as T;
  } finally {
    db.close();
  }
}

/** SHA-256 of every file below a folder, by path; the lock and SQLite's index of the WAL are scratch and left out. */
export function hashesBelow(folder: string, prefix = ''): Record<string, string> {
  const hashes: Record<string, string> = {};
  for (const entry of readdirSync(join(folder, prefix), { withFileTypes: true })) {
    const path = join(prefix, entry.name);
    if (entry.isDirectory()) Object.assign(hashes, hashesBelow(folder, path));
    else if (!/-shm$|^data\/lock/.test(path)) {
      hashes[path] = createHash('sha256')
        .update(readFileSync(join(folder, path)))
        .digest('hex');
    }
  }
  return hashes;
}
