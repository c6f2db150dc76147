import { join } from 'node:path';
import { formatEther, parseEther, Wallet } from 'ethers';
import { WaystoneError } from '../core/errors.js';
import type { DatasetStatus } from '../core/view.js';
import { connectChain } from '../forge/chain-client.js';
import { DatClient } from '../forge/dat-client.js';
import { LOCAL_CHAIN_ID, LocalChain } from '../forge/local-chain.js';
import { loadLocalKeys } from '../forge/local-keys.js';
import { localDatPlace } from '../forge/open-clients.js';
import type { RunningGateway } from '../gateway.js';
import type { DemoScreen } from './screen.js';

/** Calls that the buyer's licence allows. */
const QUOTA = 3n;

const PRICE_WEI = parseEther('0.25');

/** For the price and the gas of some transactions. */
const BUYER_WEI = parseEther('1');

/** What a dataset's token was used for, all of it on the demo's chain. */
export interface MarketResult {
  readonly licence: string;
  readonly quota: number;
  readonly used: number;
  /** Code with which the call beyond the quota was refused. */
  readonly refused: string;
  /** Wei that were paid to the dataset, and that its iDAO claimed. */
  readonly paid: string;
  readonly claimed: string;
  /** Gas of each kind of transaction. */
  readonly gas: Readonly<Record<'licence' | 'usage' | 'payment' | 'claim', number>>;
}

/**
 * A buyer gets a licence for a dataset, uses it up, tries one call more, and pays; the iDAO claims what was paid.
 *
 * @returns null without a token.
 */
export async function useToken(
  gateway: RunningGateway,
  dataFolder: string,
  dataset: DatasetStatus | undefined,
  screen: DemoScreen,
): Promise<MarketResult | null> {
  if (dataset === undefined || dataset.dat === null) return null;
  const { chain } = await gateway.view.status();
  const keys = loadLocalKeys(LocalChain.keyFile(join(dataFolder, 'chain')));
  const place = localDatPlace(keys, chain.rpcUrl);
  const buyer = new Wallet(Wallet.createRandom().privateKey);
  const provider = connectChain(chain.rpcUrl, LOCAL_CHAIN_ID);
  const ofOwner = new DatClient(place, keys.owner);
  const ofBuyer = new DatClient(place, buyer);
  try {
    const owner = keys.owner.connect(provider);
    await (await owner.sendTransaction({ to: buyer.address, value: BUYER_WEI })).wait();

    const classId = BigInt(dataset.dat.classId);
    const terms = { to: buyer.address, quota: QUOTA, expireAt: 0 };
    const licence = await ofOwner.issueLicence(classId, terms);
    const token = BigInt(licence.tokenId);
    screen.step(
      'licensed',
      `licence #${token} of ${dataset.root.slice(0, 16)}… for a buyer: ${QUOTA} calls`,
    );
    const usage = await ofBuyer.recordUsage(token, 'call', QUOTA);
    const refused = await ofBuyer.recordUsage(token, 'call', 1n).then(
      () => {
        throw new WaystoneError('DEMO_FAILED', `licence ${token} took a call beyond its quota`);
      },
      (error: WaystoneError) => error,
    );
    screen.step('used', `${QUOTA} calls recorded; one more is refused (${refused.code})`);

    const payment = await ofBuyer.settle(classId, PRICE_WEI);
    screen.step('paid', `${formatEther(PRICE_WEI)} coin to the dataset`);
    const claim = await ofOwner.claim(classId);
    screen.step('claimed', `${formatEther(claim.amount)} coin by its iDAO, ${claim.to}`);
    return {
      licence: licence.tokenId,
      quota: Number(QUOTA),
      used: (await ofBuyer.usage(token)).reduce((sum, { amount }) => sum + Number(amount), 0),
      refused: refused.code,
      paid: (await ofOwner.revenue(classId)).settled,
      claimed: claim.amount,
      gas: { licence: licence.gas, usage: usage.gas, payment: payment.gas, claim: claim.gas },
    };
  } finally {
    ofOwner.close();
    ofBuyer.close();
    provider.destroy();
  }
}
