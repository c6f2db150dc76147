import type { SearchResult } from '../../challenge/search.js';
import { WaystoneError } from '../../core/errors.js';
import type { SentTransaction } from '../../forge/chain-sender.js';
import type {
  AskedEntry,
  ChallengeClient,
  CommittedDataset,
} from '../../forge/challenge-client.js';
import { coinOf } from '../amounts.js';
import type { Call } from '../call.js';
import { chainOf, type KeyFlags, sent, withKey } from '../chain-options.js';
import { describeFiled, describeSearch, plainSearch } from '../challenge-report.js';
import type { AddCommand } from '../cli.js';
import { date, plain } from '../format.js';

const ROOT = /^[0-9a-f]{64}$/i;
const ADDRESS = /^0x[0-9a-fA-F]{40}$/;

interface PlaceFlags extends KeyFlags {
  readonly rpc?: string;
  readonly forge?: string;
}

interface SearchFlags extends PlaceFlags {
  readonly receipt?: string[];
  readonly checkpoint?: string[];
}

interface FileFlags extends SearchFlags {
  readonly devices?: boolean;
}

interface EntryFlags extends PlaceFlags {
  readonly entry?: string;
}

type Answered = SentTransaction & { readonly index: number };

interface TakeFlags extends PlaceFlags {
  readonly to?: string;
}

export const addChallenge: AddCommand = (program, act) => {
  const challenge = program
    .command('challenge')
    .description('catch a gateway that cheats: find faults of datasets, and have its bond answer')
    .addHelpText(
      'after',
      `
Datasets are looked for on the chain of waystone.toml, or with --rpc and --forge on any other: no gateway is needed then.
Every challenge is tried on the node before it is sent, so what is no fault costs nothing.

Example:
  waystone challenge find ./3f9a… --rpc https://… --forge 0x…`,
    );

  const find = withSearch(challenge.command('find'))
    .description('find every fault that the contract would uphold; sends nothing')
    .addHelpText(
      'after',
      `
Ends with 0 when there is none, 1 when there is one, 2 when a file cannot be read.

Example:
  waystone challenge find ./3f9a… ./77c1… --receipt receipt.bin`,
    );
  act<SearchFlags>(find, (call, ...paths) =>
    withSearchResult(call, paths, async (result) => {
      call.print(plainSearch(result), () => describeSearch(result));
      return result.findings.length === 0 ? 0 : 1;
    }),
  );

  const file = withKey(withSearch(challenge.command('file')))
    .description('find faults and file one challenge for each fault of each dataset')
    .option('--devices', 'also report devices that signed two stories; nobody pays for that')
    .addHelpText(
      'after',
      `
Ends with 0 when there is no fault or all were upheld, 1 when one was refused.

Example:
  waystone challenge file ./3f9a… --keystore me.json --password-file p`,
    );
  act<FileFlags>(file, fileAll);

  const ask = withEntry(withKey(challenge.command('ask')))
    .description(
      'ask for an entry that is published nowhere; who does not show it loses the dataset',
    )
    .addHelpText(
      'after',
      `
It costs a deposit, which goes to whoever shows the entry, and comes back if nobody does.

Example:
  waystone challenge ask 3f9a… --entry 17 --keystore me.json --password-file p`,
    );
  act<EntryFlags>(ask, (call, given = '') =>
    withClient(call, async (client) => {
      const dataset = await datasetOf(client, given);
      const done = await client.ask(dataset, entryOf(call.options.entry ?? '0'));
      const asked = await questionsNow(client, dataset);
      call.print(
        { ...done, asked },
        () => `asked, ${coinOf(done.deposit)} coin deposited${sent(done)}${describeAsked(asked)}`,
      );
      return 0;
    }),
  );

  const answer = withEntry(
    withKey(challenge.command('answer')),
    '<path>',
    'its folder or entries file',
  )
    .description('show the entries that are asked for, and earn the deposits')
    .addHelpText(
      'after',
      `
A running gateway does this by itself. Anyone who has the entries may.

Example:
  waystone challenge answer ./3f9a… --keystore me.json --password-file p`,
    );
  act<EntryFlags>(answer, showAsked);

  const settle = withEntry(withKey(challenge.command('settle')))
    .description('settle questions that nobody answered in time: the dataset is void')
    .addHelpText('after', '\nExample:\n  waystone challenge settle 3f9a… --keystore me.json');
  act<EntryFlags>(settle, settleAll);

  const take = withPlace(withKey(challenge.command('take')))
    .option('--to <address>', 'who gets it (default: the key that signs)')
    .description('take rewards and deposits that were earned')
    .addHelpText('after', '\nExample:\n  waystone challenge take --keystore me.json');
  act<TakeFlags>(take, (call) =>
    withClient(call, async (client) => {
      const { to } = call.options;
      if (to !== undefined && !ADDRESS.test(to)) {
        throw new WaystoneError('USAGE', '--to must be an address, 0x and 40 hex digits');
      }
      const done = await client.take(to);
      call.print(
        done,
        () =>
          `rewards of ${coinOf(done.reward)} and deposits of ${coinOf(done.deposit)} coin to ${done.to}${done.sent.map(sent).join('')}`,
      );
      return 0;
    }),
  );
};

const withPlace: typeof withKey = (command) =>
  command
    .option('--rpc <url>', 'node of another chain than the configured one')
    .option('--forge <address>', 'DatasetForge contract on that chain');

const withSearch: typeof withKey = (command) =>
  withPlace(command)
    .argument('<path...>', 'dataset folders, or entries files alone')
    .option('--receipt <file...>', 'receipts as they came over MQTT, or in hex')
    .option('--checkpoint <file...>', 'checkpoint files of the same gateway');

const withEntry = (
  command: Parameters<typeof withKey>[0],
  name = '<dataset>',
  what = 'root of the dataset, or its folder or entries file',
): ReturnType<typeof withKey> =>
  withPlace(command).argument(name, what).option('--entry <index>', 'which entry, from 0');

async function fileAll(call: Call<FileFlags>, ...paths: string[]): Promise<number> {
  return await withSearchResult(call, paths, async (result, client) => {
    const { fileFindings } = await import('../../challenge/search.js');
    const filed = await fileFindings(result, client, call.options.devices === true);
    call.print(
      { ...plainSearch(result), filed },
      () => `${describeSearch(result)}\n${describeFiled(filed)}`,
    );
    return filed.some(({ refusal }) => refusal !== null) ? 1 : 0;
  });
}

async function showAsked(call: Call<EntryFlags>, path = ''): Promise<number> {
  const only = call.options.entry === undefined ? null : entryOf(call.options.entry);
  return await withClient(call, async (client) => {
    const { openEvidence } = await import('../../challenge/evidence.js');
    const { entries, dataset, mismatch } = await openEvidence(path, client);
    try {
      if (dataset === null || mismatch !== null) {
        throw new WaystoneError('CHALLENGE_NOT_THESE', mismatch ?? 'nothing was committed');
      }
      const asked = (await client.askedFor(dataset)).filter(
        ({ index }) => only === null || index === only,
      );
      const shown: Answered[] = [];
      for (const { index } of asked) {
        shown.push({ index, ...(await client.show(dataset, await entries.proof(index))) });
      }
      call.print({ shown }, () =>
        shown.length === 0
          ? 'nothing is asked for\n'
          : shown.map((one) => `showed entry ${one.index}${sent(one)}`).join(''),
      );
      return 0;
    } finally {
      await entries.close();
    }
  });
}

async function settleAll(call: Call<EntryFlags>, given = ''): Promise<number> {
  const only = call.options.entry === undefined ? null : entryOf(call.options.entry);
  return await withClient(call, async (client) => {
    const dataset = await datasetOf(client, given);
    const asked = (await client.askedFor(dataset)).filter(
      ({ index }) => only === null || index === only,
    );
    const settled: Answered[] = [];
    for (const { index } of asked) {
      settled.push({ index, ...(await client.settle(dataset, index)) });
    }
    call.print({ settled }, () =>
      settled.length === 0
        ? 'nothing is asked for\n'
        : settled
            .map((one) => `nobody showed entry ${one.index}; the dataset is void${sent(one)}`)
            .join(''),
    );
    return 0;
  });
}

/** A dataset by its root, or by what somebody has of it. */
async function datasetOf(client: ChallengeClient, given: string): Promise<CommittedDataset> {
  const { rootOf } = await import('../../challenge/evidence.js');
  const root = ROOT.test(given) ? given.toLowerCase() : await rootOf(given);
  const found = await client.datasetsOf(root);
  const dataset = found.find(({ isOpen }) => isOpen) ?? found[0];
  if (dataset !== undefined) return dataset;
  throw new WaystoneError(
    'CHALLENGE_NOT_COMMITTED',
    `no dataset with root ${root} was committed on chain ${client.chainId}; check the root, and the chain`,
  );
}

async function questionsNow(
  client: ChallengeClient,
  { record }: CommittedDataset,
): Promise<AskedEntry[]> {
  const { idao, logId, index } = record;
  const now = await client.dataset({ idao, logId, index: Number(index) });
  return now === null ? [] : await client.askedFor(now);
}

const describeAsked = (asked: readonly AskedEntry[]): string =>
  asked
    .map(({ index, deadline }) => `entry ${index} is to be shown before ${date(deadline * 1e6)}\n`)
    .join('');

async function withSearchResult(
  call: Call<SearchFlags>,
  paths: readonly string[],
  use: (result: SearchResult, client: ChallengeClient) => Promise<number>,
): Promise<number> {
  const { receipt: receipts = [], checkpoint: checkpoints = [] } = call.options;
  return await withClient(call, async (client) => {
    const { searchFaults } = await import('../../challenge/search.js');
    const input = { paths, receipts, checkpoints };
    return await searchFaults(input, client, (result) => use(result, client));
  });
}

async function withClient<T>(
  call: Call<PlaceFlags>,
  use: (client: ChallengeClient) => Promise<T>,
): Promise<T> {
  const client = await open(call);
  try {
    return await use(client);
  } finally {
    client.close();
  }
}

async function open(call: Call<PlaceFlags>): Promise<ChallengeClient> {
  const { rpc, forge, keystore = '', passwordFile = '' } = call.options;
  if ((rpc === undefined) !== (forge === undefined)) {
    throw new WaystoneError('USAGE', '--rpc and --forge belong together: give both or neither');
  }
  if (rpc === undefined || forge === undefined) {
    const { config, options } = await chainOf(call);
    return await call.parts.openChallenges(config, options);
  }
  if (!URL.canParse(rpc)) {
    throw new WaystoneError('USAGE', `--rpc must be a URL, got ${JSON.stringify(rpc)}`);
  }
  if (!ADDRESS.test(forge)) {
    throw new WaystoneError('USAGE', `--forge must be 0x and 40 hex digits, got ${plain(forge)}`);
  }
  return await call.parts.openChallengesAt(
    { rpcUrl: rpc, forge },
    {
      keystoreFile: keystore,
      passwordFile,
      credentialsFolder: call.terminal.environment.CREDENTIALS_DIRECTORY ?? '',
    },
  );
}

function entryOf(text: string): number {
  if (/^[0-9]{1,10}$/.test(text)) return Number(text);
  throw new WaystoneError('USAGE', '--entry must be a whole number from 0 to 9,999,999,999');
}
