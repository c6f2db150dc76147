import { setTimeout as delay } from 'node:timers/promises';
import type { GatewayStatus } from '../../gateway/core/view.js';
import type { TestGateway } from '../harness/gateway.js';
import { waitFor } from '../harness/wait.js';

/** Between two looks: asking for the status is work for the gateway that is waited for. */
const LOOK_MS = 50;

/** Seals what is open and waits until every dataset has its DAT. @returns how many there are. */
export async function sealAndForge(gateway: TestGateway, deadlineMs = 120_000): Promise<number> {
  await gateway.ask('POST', '/v1/batches/seal');
  return allForged(gateway, deadlineMs);
}

/** Waits until no batch is open, being sealed or being forged. @returns how many are forged. */
export async function allForged(gateway: TestGateway, deadlineMs = 120_000): Promise<number> {
  let last = '';
  try {
    return await waitFor(
      'every batch to be forged',
      async () => {
        const status = await gateway.ask<GatewayStatus>('GET', '/v1/status');
        last = JSON.stringify({ batches: status.batches, box: status.box, chain: status.chain });
        const { open, sealing, sealed, committed, forged } = status.batches;
        if (open + sealing + sealed + committed === 0) return forged;
        await delay(LOOK_MS);
        return null;
      },
      deadlineMs,
    );
  } catch (cause) {
    throw new Error(`datasets are not all forged: ${last}`, { cause });
  }
}
