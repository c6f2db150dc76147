import { readdirSync, readFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { Interface } from 'ethers';
import { BenchGateway } from '../gateway-process.js';
import { connectLoad } from '../gateway-run.js';
import { ROOT } from '../machine.js';

/** Datasets of one bundle. */
const BUNDLE = 16;

/** Datasets that are forged one at a time. */
const ALONE = 3;

export interface GasReport {
  /** Gas of one dataset from commit to DAT, all transactions of its way summed; forged alone, not the first of its iDAO. */
  readonly commitToDat: number;
  /** The same for each of 16 datasets that went on chain together. */
  readonly commitToDatBatch16: number;
  /** The first dataset of an iDAO, alone. */
  readonly commitToDatFirst: number;
  /** Once for each: the contracts, the iDAO with its operator, the key of a gateway or device. */
  readonly setup: number;
  /** Bytes of the address at which the entries file is published. */
  readonly urlBytes: number;
}

interface Forged {
  readonly root: string;
  readonly state: string;
}

interface Receipt {
  readonly to: string | null;
  readonly gasUsed: string;
  readonly logs: readonly { readonly topics: readonly string[]; readonly data: string }[];
}

/** What the gateway itself sends for its datasets on a fresh node, read from the chain's own receipts. */
export async function benchGas(options: { say: (line: string) => void }): Promise<GasReport> {
  const home = await BenchGateway.makeHome();
  const gateway = await BenchGateway.start(home, {
    network: 'local',
    // Each entry is a dataset: a dataset costs the same gas whatever it holds.
    set: ['batch.entriesMax=1', `chain.bundleDatasetsMax=${BUNDLE}`],
  });
  const { load } = await connectLoad(gateway, {
    keyType: 'secp256k1',
    framesEach: 1,
    devices: 1,
    envelopesEach: 1 + ALONE + BUNDLE,
    realm: await gateway.realm(),
  });
  try {
    const chain = await chainOf(gateway);
    let forged = 0;
    /** Sends so many envelopes at once and waits for their tokens. @returns gas of each dataset. */
    const forge = async (count: number): Promise<number> => {
      const from = await chain.head();
      // While the node stands still, datasets gather; then they go together.
      if (count > 1) process.kill(chain.pid, 'SIGSTOP');
      await load.calls.send(count);
      forged += count;
      if (count > 1) {
        await until(gateway, forged, (state) => state !== 'open' && state !== 'sealing');
        process.kill(chain.pid, 'SIGCONT');
      }
      await until(gateway, forged, (state) => state === 'forged');
      const { gas, commits, transactions } = await chain.spent(from + 1);
      if (commits !== count || transactions !== 2) {
        throw new Error(`${count} datasets took ${transactions} transactions, ${commits} commits`);
      }
      options.say(`${count} together: ${Math.round(gas / count)} gas each`);
      return Math.round(gas / count);
    };
    const first = await forge(1);
    const setup = await chain.setupGas();
    const alone: number[] = [];
    for (let k = 0; k < ALONE; k++) alone.push(await forge(1));
    const bundled = await forge(BUNDLE);
    return {
      // Zero and non-zero bytes of hashes cost differently, by some hundred gas.
      commitToDat: Math.max(...alone),
      commitToDatBatch16: bundled,
      commitToDatFirst: first,
      setup,
      urlBytes: chain.urlBytes(),
    };
  } finally {
    load.kill();
    await gateway.remove();
  }
}

async function until(
  gateway: BenchGateway,
  count: number,
  isThere: (state: string) => boolean,
): Promise<void> {
  for (;;) {
    const { datasets } = await gateway.ask<{ datasets: Forged[] }>('GET', '/v1/datasets?limit=100');
    if (datasets.filter(({ state }) => isThere(state)).length >= count) return;
    await delay(50);
  }
}

/** The gateway's own chain, read past it. */
async function chainOf(gateway: BenchGateway) {
  const file = `${ROOT}/gateway/contracts/artifacts/DatasetForge.json`;
  const abi = new Interface(JSON.parse(readFileSync(file, 'utf8')).abi);
  const committed = abi.getEvent('DatasetCommitted')?.topicHash as string;
  let status: { rpcUrl: string; contracts: Record<string, string> };
  do {
    await delay(50);
    ({ chain: status } = await gateway.ask<{ chain: typeof status }>('GET', '/v1/status'));
  } while (status.rpcUrl === '');
  const { rpcUrl, contracts } = status;
  const forge = (contracts.datasetForge as string).toLowerCase();
  let urlBytes = 0;

  const ask = async <T>(method: string, ...params: unknown[]): Promise<T> => {
    const response = await fetch(rpcUrl, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ jsonrpc: '2.0', id: 1, method, params }),
    });
    return ((await response.json()) as { result: T }).result;
  };
  const head = async (): Promise<number> => Number(await ask<string>('eth_blockNumber'));
  const receipts = async (from: number): Promise<Receipt[]> => {
    const all: Receipt[] = [];
    const last = await head();
    for (let block = from; block <= last; block++) {
      all.push(...(await ask<Receipt[]>('eth_getBlockReceipts', `0x${block.toString(16)}`)));
    }
    return all;
  };
  const sum = (all: readonly Receipt[]): number =>
    all.reduce((total, { gasUsed }) => total + Number(gasUsed), 0);
  return {
    pid: childOf(gateway.pid, 'anvil'),
    head,
    spent: async (from: number) => {
      const own = (await receipts(from)).filter(({ to }) => to?.toLowerCase() === forge);
      const commits = own
        .flatMap(({ logs }) => logs)
        .filter(({ topics }) => topics[0] === committed);
      for (const log of commits) {
        const event = abi.parseLog({ topics: [...log.topics], data: log.data });
        urlBytes = Buffer.byteLength(event?.args.record.url ?? '');
      }
      return { gas: sum(own), commits: commits.length, transactions: own.length };
    },
    setupGas: async () => sum((await receipts(1)).filter(({ to }) => to?.toLowerCase() !== forge)),
    urlBytes: () => urlBytes,
  };
}

/** The process of that name which a process has started. */
function childOf(parent: number, name: string): number {
  for (const pid of readdirSync('/proc').filter((entry) => /^\d+$/.test(entry))) {
    try {
      // proc(5): pid (name) state parent …
      const [, command, ppid] = /^\d+ \((.*)\) \S (\d+) /.exec(
        readFileSync(`/proc/${pid}/stat`, 'utf8'),
      ) as RegExpExecArray;
      if (command === name && Number(ppid) === parent) return Number(pid);
    } catch {
      // It has ended meanwhile.
    }
  }
  throw new Error(`process ${parent} has started no ${name}`);
}
