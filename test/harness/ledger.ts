import { join } from 'node:path';
import { loadConfig, loadKeys } from '../../gateway/config/index.js';
import { logHeadFile } from '../../gateway/ledger/identity.js';
import { Ledger } from '../../gateway/ledger/ledger.js';

/**
 * Opens the ledger of a gateway that does not run, without the stages around it: nothing seals, forges or listens
 * meanwhile.
 */
export async function withLedger<T>(
  home: string,
  work: (ledger: Ledger) => Promise<T>,
): Promise<T> {
  const { batch, sessions } = loadConfig({ home, environment: {}, set: ['chain.network=none'] });
  const { gateway } = await loadKeys(home);
  const ledger = await Ledger.open(
    {
      dataFolder: join(home, 'data'),
      logHeadFile: logHeadFile(home),
      privateKey: gateway.privateKey,
      limits: batch,
      sessions,
      settledBy: 'sealed',
      verifiers: [],
    },
    () => undefined,
    (error) => {
      throw error;
    },
  );
  try {
    return await work(ledger);
  } finally {
    await ledger.stop();
  }
}
