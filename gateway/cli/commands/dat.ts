import { WaystoneError } from '../../core/errors.js';
import type { DatasetStatus } from '../../core/view.js';
import type { DatClient } from '../../forge/dat-client.js';
import { coinOf, weiOf } from '../amounts.js';
import type { Call } from '../call.js';
import { chainOf, type KeyFlags, sent, withKey } from '../chain-options.js';
import type { AddCommand } from '../cli.js';
import { completeRoot } from '../complete-root.js';
import { date, pairs, plain, table } from '../format.js';
import { describeWithdrawal } from './batches.js';

const NATIVE = `0x${'0'.repeat(40)}`;
const ADDRESS = /^0x[0-9a-fA-F]{40}$/;

/** Decimal digits from which a number is a token and no root. */
const TOKEN = /^[0-9]+$/;
const ROOT = /^[0-9a-f]{4,64}$/i;

export const addDat: AddCommand = (program, act) => {
  const dat = program
    .command('dat')
    .description('Data Anchoring Tokens: licences, their quota, and revenue')
    .addHelpText(
      'after',
      `
A token is named by its id (#… or digits), or by the root of its dataset. On the local chain the gateway must run, and
its owner's key signs unless another is given. Elsewhere the owner's key comes from --keystore.

Example:
  waystone dat show 3f9a62c1`,
    );

  const show = dat
    .command('show')
    .argument('<token>', 'token id, or root of a dataset')
    .description('owner, quota, end, share and licences of a token')
    .addHelpText('after', '\nExample:\n  waystone dat show 3f9a62c1 --json');
  act(show, (call, token = '') => showToken(call, token));

  const licence = withKey(dat.command('licence'))
    .argument('<token>', 'token id, or root of the dataset')
    .requiredOption('--to <address>', 'who gets it')
    .requiredOption('--quota <calls>', 'calls that it allows')
    .option('--days <number>', 'days until it ends; 0 is never', '0')
    .description('issue a licence for a dataset')
    .addHelpText('after', '\nExample:\n  waystone dat licence 3f9a62c1 --to 0x… --quota 1000');
  act<LicenceFlags>(licence, issue);

  const usage = withKey(dat.command('usage'))
    .argument('<token>', 'token id, or root of the dataset')
    .option('--record <calls>', 'take calls off the quota; without it what was recorded is listed')
    .option('--metric <name>', 'what was used, at most 32 bytes', 'call')
    .description('list or record the use of a token')
    .addHelpText('after', '\nExample:\n  waystone dat usage 1 --record 3');
  act<UsageFlags>(usage, use);

  const revenue = withKey(dat.command('revenue'))
    .argument('<token>', 'token id, or root of the dataset')
    .option('--pay <coin>', 'pay so much of the chain’s coin to the dataset, as 0.25')
    .option('--asset <address>', 'look at an ERC-20 instead of the coin', NATIVE)
    .description('what was paid for a dataset, claimed, and is pending')
    .addHelpText('after', '\nExample:\n  waystone dat revenue 3f9a62c1 --pay 0.25');
  act<RevenueFlags>(revenue, income);

  const claim = withKey(dat.command('claim'))
    .argument('<token>', 'token id, or root of the dataset')
    .option('--to <address>', "who gets it (default: the token's owner)")
    .option('--asset <address>', 'an ERC-20 instead of the coin', NATIVE)
    .description('claim what is pending')
    .addHelpText('after', '\nExample:\n  waystone dat claim 3f9a62c1');
  act<ClaimFlags>(claim, collect);
};

interface LicenceFlags extends KeyFlags {
  readonly to: string;
  readonly quota: string;
  readonly days: string;
}

interface UsageFlags extends KeyFlags {
  readonly record?: string;
  readonly metric: string;
}

interface RevenueFlags extends KeyFlags {
  readonly pay?: string;
  readonly asset: string;
}

interface ClaimFlags extends KeyFlags {
  readonly to?: string;
  readonly asset: string;
}

async function showToken(call: Call, given: string): Promise<undefined> {
  await withDat(call, given, async (client, tokenId) => {
    const view = await client.view(tokenId);
    const licences = view.kind === 'dataset' ? await client.licences(tokenId) : [];
    call.print({ ...view, licences }, () =>
      pairs([
        ['token', view.tokenId],
        ['kind', view.kind === 'dataset' ? 'the dataset itself, with all shares' : 'licence'],
        ...(view.kind === 'licence' ? [['class', view.classId] as const] : []),
        ['owner', view.owner],
        ['calls left', view.quotaLeft],
        ['ends', view.expireAt === 0 ? 'never' : date(view.expireAt * 1e6)],
        ['share weight', String(view.shareWeight)],
        ['pending', `${coinOf(view.pending)} coin`],
        ['manifest hash', view.manifestHash],
        ['metadata', plain(view.metadataUrl) || '-'],
        ['licence text', plain(view.policyUrl) || '-'],
        ...(view.kind === 'dataset' ? [['licences', licences.join(', ') || 'none'] as const] : []),
      ]),
    );
  });
  return undefined;
}

async function issue(call: Call<LicenceFlags>, given = ''): Promise<undefined> {
  const { to, quota, days } = call.options;
  checkAddress('--to', to);
  const calls = wholeNumber('--quota', quota);
  const lasting = Number(wholeNumber('--days', days));
  const expireAt = lasting === 0 ? 0 : Math.floor(call.terminal.nowMs() / 1_000) + lasting * 86_400;
  await withDat(call, given, async (client, tokenId) => {
    const { classId } = await client.view(tokenId);
    const done = await client.issueLicence(BigInt(classId), { to, quota: calls, expireAt });
    call.print(done, () => `licence ${done.tokenId}: ${calls} calls for ${to}${sent(done)}`);
  });
  return undefined;
}

async function use(call: Call<UsageFlags>, given = ''): Promise<undefined> {
  const { record, metric } = call.options;
  const calls = record === undefined ? null : wholeNumber('--record', record);
  await withDat(call, given, async (client, tokenId) => {
    if (calls !== null) {
      const done = await client.recordUsage(tokenId, metric, calls);
      const { quotaLeft } = await client.view(tokenId);
      call.print(
        { ...done, quotaLeft },
        () => `recorded ${calls}, ${quotaLeft} calls are left${sent(done)}`,
      );
      return;
    }
    const { quotaLeft } = await client.view(tokenId);
    const usage = await client.usage(tokenId);
    call.print(
      { quotaLeft, usage },
      () =>
        `${table(
          ['>BLOCK', 'METRIC', '>AMOUNT', 'BY'],
          usage.map(({ block, metric: name, amount, actor }) => [
            String(block),
            plain(name),
            amount,
            actor,
          ]),
          'nothing was recorded yet',
        )}${quotaLeft} calls are left\n`,
    );
  });
  return undefined;
}

async function income(call: Call<RevenueFlags>, given = ''): Promise<undefined> {
  const { pay, asset } = call.options;
  checkAddress('--asset', asset);
  const amount = pay === undefined ? null : weiOf('--pay', pay);
  if (amount !== null && asset !== NATIVE) {
    throw new WaystoneError(
      'USAGE',
      'only coin is paid from here; an ERC-20 is paid with settleRevenueERC20',
    );
  }
  await withDat(call, given, async (client, tokenId) => {
    const { classId } = await client.view(tokenId);
    const paid = amount === null ? null : await client.settle(BigInt(classId), amount);
    const revenue = await client.revenue(tokenId, asset);
    const told = (units: string): string =>
      asset === NATIVE ? `${coinOf(units)} coin` : `${units} units of ${asset}`;
    call.print({ ...revenue, ...(paid === null ? {} : { paid }) }, () => {
      const rows = pairs([
        ['paid in all', told(revenue.settled)],
        ['claimed', told(revenue.claimed)],
        ['pending', told(revenue.pending)],
      ]);
      return paid === null ? rows : `paid ${told(String(amount))}${sent(paid)}${rows}`;
    });
  });
  return undefined;
}

async function collect(call: Call<ClaimFlags>, given = ''): Promise<undefined> {
  const { to, asset } = call.options;
  checkAddress('--asset', asset);
  if (to !== undefined) checkAddress('--to', to);
  await withDat(call, given, async (client, tokenId) => {
    const done = await client.claim(tokenId, to === undefined ? { asset } : { asset, to });
    const amount = asset === NATIVE ? `${coinOf(done.amount)} coin` : `${done.amount} units`;
    call.print(done, () => `claimed ${amount} to ${done.to}${sent(done)}`);
  });
  return undefined;
}

/** Opens the configured network's tokens, and finds the one that is meant. */
async function withDat(
  call: Call<KeyFlags>,
  given: string,
  run: (client: DatClient, tokenId: bigint) => Promise<void>,
): Promise<void> {
  const tokenId = await tokenOf(call, given);
  const { config, options } = await chainOf(call);
  const client = await call.parts.openDat(config, options);
  try {
    await run(client, tokenId);
  } finally {
    client.close();
  }
}

async function tokenOf(call: Call, given: string): Promise<bigint> {
  const digits = given.replace(/^#/, '');
  // Sixty-four decimal digits may be either; a root is what people have more often.
  if (given.startsWith('#') || (TOKEN.test(digits) && digits.length !== 64)) {
    if (TOKEN.test(digits)) return BigInt(digits);
  }
  if (!ROOT.test(given)) {
    throw new WaystoneError(
      'USAGE',
      `"${plain(given)}" is neither a token id nor the root of a dataset`,
    );
  }
  const api = await call.api();
  const root = await completeRoot(api, given.toLowerCase());
  const { dat, waitsFor, withdrawal } = await api.get<DatasetStatus>(`/v1/datasets/${root}`);
  if (dat !== null) return BigInt(dat.tokenId);
  if (withdrawal !== null) {
    throw new WaystoneError(
      'DATASET_WITHDRAWN',
      `dataset ${root} never gets a token: ${describeWithdrawal(withdrawal)}`,
    );
  }
  throw new WaystoneError(
    'DAT_NOT_YET',
    `dataset ${root} has no token yet; it waits for ${waitsFor}`,
  );
}

function checkAddress(flag: string, address: string): void {
  if (ADDRESS.test(address)) return;
  throw new WaystoneError('USAGE', `${flag} must be an address, 0x and 40 hex digits`);
}

function wholeNumber(flag: string, text: string): bigint {
  if (/^[0-9]{1,13}$/.test(text)) return BigInt(text);
  throw new WaystoneError('USAGE', `${flag} must be a whole number from 0 to 9,999,999,999,999`);
}
