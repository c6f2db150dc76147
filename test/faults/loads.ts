import { readFileSync } from 'node:fs';
import type { KeyType } from '@waystone/proto';
import { NO_REALM } from '../bench/gateway-run.js';
import type { LoadCalls } from '../bench/load/main.js';
import { CallableProcess } from '../bench/process-calls.js';
import type { TestGateway } from '../harness/gateway.js';
import { withLedger } from '../harness/ledger.js';

/** Enrolments that are under way at once, so that they share commits. */
const ENROLLED_AT_ONCE = 32;

export type Load = CallableProcess<LoadCalls>;

export interface LoadOptions {
  readonly keyType: KeyType;
  readonly framesEach: number;
  readonly devices: number;
  readonly envelopesEach: number;
  /** Number of the first device, so that several processes play different ones. */
  readonly firstDevice: number;
}

/** A load process of the bench; run `npx tsc -b` first. */
export async function prepareLoad(
  options: LoadOptions,
): Promise<{ load: Load; dids: readonly string[] }> {
  const load: Load = new CallableProcess<LoadCalls>('../dist/bench/load/main.js');
  try {
    const { dids } = await load.calls.prepare({ ...options, realm: NO_REALM });
    return { load, dids };
  } catch (error) {
    load.kill();
    throw error;
  }
}

/** Connects the devices of a load process, which are enrolled. */
export async function connectLoad(load: Load, { mqttPort, did }: TestGateway): Promise<void> {
  await load.calls.connect({ port: mqttPort, gateway: did, ca: null, parallel: 32 });
}

/** A load process whose devices are enrolled and connected. */
export async function startLoad(gateway: TestGateway, options: LoadOptions): Promise<Load> {
  const { load, dids } = await prepareLoad(options);
  try {
    const waiting = [...dids];
    const enrolNext = async (): Promise<void> => {
      for (let did = waiting.pop(); did !== undefined; did = waiting.pop()) {
        await gateway.enrol(did);
      }
    };
    await Promise.all(Array.from({ length: ENROLLED_AT_ONCE }, enrolNext));
    await connectLoad(load, gateway);
    return load;
  } catch (error) {
    load.kill();
    throw error;
  }
}

/** Enrols devices with a gateway that is not started yet: thousands of calls of the API would take longer than their test. */
export async function enrolBefore(home: string, dids: readonly string[]): Promise<void> {
  await withLedger(home, async ({ calls }) => {
    const nowUs = Date.now() * 1000;
    await Promise.all(dids.map((did) => calls.enrol(did, '', nowUs)));
  });
}

/** Files that a process may open: Node raises its own limit to the hard one. */
export function openFilesMax(): number {
  const limits = readFileSync('/proc/self/limits', 'latin1');
  const [, , hard] = /^Max open files\s+(\S+)\s+(\S+)/m.exec(limits) ?? [];
  return hard === 'unlimited' ? Number.POSITIVE_INFINITY : Number(hard);
}
