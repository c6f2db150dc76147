import { readFileSync } from 'node:fs';
import type { KeyType } from '@waystone/proto';
import { NO_REALM } from '../bench/gateway-run.js';
import type { LoadCalls } from '../bench/load/main.js';
import { CallableProcess } from '../bench/process-calls.js';
import type { TestGateway } from '../harness/gateway.js';

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

/** A load process of the bench whose devices are enrolled and connected; run `npx tsc -b` first. */
export async function connectLoad(gateway: TestGateway, options: LoadOptions): Promise<Load> {
  const load: Load = new CallableProcess<LoadCalls>('../dist/bench/load/main.js');
  try {
    const { dids } = await load.calls.prepare({ ...options, realm: NO_REALM });
    const waiting = [...dids];
    const enrolNext = async (): Promise<void> => {
      for (let did = waiting.pop(); did !== undefined; did = waiting.pop()) {
        await gateway.enrol(did);
      }
    };
    await Promise.all(Array.from({ length: ENROLLED_AT_ONCE }, enrolNext));
    const { mqttPort: port, did } = gateway;
    await load.calls.connect({ port, gateway: did, ca: null, parallel: 32 });
    return load;
  } catch (error) {
    load.kill();
    throw error;
  }
}

/** Files that a process may open: Node raises its own limit to the hard one. */
export function openFilesMax(): number {
  const limits = readFileSync('/proc/self/limits', 'latin1');
  const [, , hard] = /^Max open files\s+(\S+)\s+(\S+)/m.exec(limits) ?? [];
  return hard === 'unlimited' ? Number.POSITIVE_INFINITY : Number(hard);
}
