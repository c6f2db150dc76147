import {
  type BaseWallet,
  type ContractTransaction,
  type TransactionReceipt,
  ZeroAddress,
} from 'ethers';
import { DAT__factory, IDAO__factory } from '../contracts/types/index.js';
import { WaystoneError } from '../core/errors.js';
import { hasCode } from './chain-client.js';
import { type ChainPlace, ChainSender, type SentTransaction, told } from './chain-sender.js';
import { searchLogs } from './log-search.js';
import { explain, shortToken } from './refusals.js';

/** Where a DAT contract is. */
export interface DatPlace extends ChainPlace {
  readonly dat: string;
}

/** A token as the contract tells it. Amounts are decimal strings of the asset's smallest unit. */
export interface DatView {
  readonly tokenId: string;
  /** The class is the dataset: equal to the token id of the dataset's own token. */
  readonly classId: string;
  readonly kind: 'dataset' | 'licence';
  readonly owner: string;
  /** Calls that may still be recorded. */
  readonly quotaLeft: string;
  /** Last second of validity, Unix seconds; 0 for never. */
  readonly expireAt: number;
  /** Share weight in the revenue of its class; 0 for licences. */
  readonly shareWeight: number;
  /** The manifest's hash, 64 hex digits. */
  readonly manifestHash: string;
  readonly metadataUrl: string;
  readonly policyUrl: string;
  /** What the token may claim now. */
  readonly pending: string;
}

/** One `UsageRecorded` of a token. */
export interface DatUsage {
  readonly metric: string;
  readonly amount: string;
  readonly actor: string;
  readonly block: number;
  readonly transaction: string;
}

/** What became of a class's revenue in one asset. */
export interface DatRevenue {
  readonly classId: string;
  /** 0x0… is the chain's coin. */
  readonly asset: string;
  readonly settled: string;
  readonly claimed: string;
  readonly pending: string;
}

/**
 * Data Anchoring Tokens, read and used: licences, quota, revenue. Whoever owns an iDAO acts for the tokens that it holds.
 * Everything is tried on the node before it is signed, so a refusal costs nothing and says why.
 */
export class DatClient {
  readonly #place: DatPlace;
  readonly #sender: ChainSender;

  /** @param signer null for reading only. */
  constructor(place: DatPlace, signer: BaseWallet | null) {
    this.#place = place;
    this.#sender = new ChainSender(place, signer);
  }

  close(): void {
    this.#sender.close();
  }

  /** @throws WaystoneError CHAIN_CONTRACT_MISSING, DAT_UNKNOWN, and for a node that cannot be asked. */
  async view(tokenId: bigint, asset = ZeroAddress): Promise<DatView> {
    const dat = await this.#contract();
    try {
      const classId = await dat.classOf(tokenId);
      const [owner, value, share, expireAt, pending, meta] = await Promise.all([
        dat.ownerOf(tokenId),
        // Every object has a `valueOf`, which the library leaves alone.
        dat.getFunction('valueOf').staticCall(tokenId) as Promise<bigint>,
        dat.shareRatioOf(tokenId),
        dat.expireAtOf(tokenId),
        dat.pendingRevenue(tokenId, asset),
        dat.getClassMeta(classId),
      ]);
      const [metadataUrl, integrityHash, , policyUrl] = meta;
      return {
        tokenId: String(tokenId),
        classId: String(classId),
        kind: classId === tokenId ? 'dataset' : 'licence',
        owner,
        quotaLeft: String(value),
        expireAt: Number(expireAt),
        shareWeight: Number(share),
        manifestHash: integrityHash.slice(2),
        metadataUrl,
        policyUrl,
        pending: String(pending),
      };
    } catch (error) {
      throw explain(error);
    }
  }

  /** What was recorded for a token, oldest first. */
  async usage(tokenId: bigint): Promise<DatUsage[]> {
    const dat = await this.#contract();
    const events = await this.#search((from, to) =>
      dat.queryFilter(dat.filters.UsageRecorded(tokenId), from, to),
    );
    return events.map(({ args, blockNumber, transactionHash }) => ({
      metric: metricName(args.metricType),
      amount: String(args.amount),
      actor: args.actor,
      block: blockNumber,
      transaction: transactionHash,
    }));
  }

  /** The licences of a class, oldest first. */
  async licences(classId: bigint): Promise<string[]> {
    const dat = await this.#contract();
    const events = await this.#search((from, to) =>
      dat.queryFilter(dat.filters.Minted(undefined, classId), from, to),
    );
    return events.map(({ args }) => String(args.tokenId)).filter((id) => id !== String(classId));
  }

  /** Revenue of a token's class; `pending` is the token's own. */
  async revenue(tokenId: bigint, asset = ZeroAddress): Promise<DatRevenue> {
    const { classId, pending } = await this.view(tokenId, asset);
    const dat = await this.#contract();
    const settled = await this.#search((from, to) =>
      dat.queryFilter(dat.filters.RevenueSettled(classId, asset), from, to),
    );
    // Licences have no share, so all claims of a class are those of its dataset's token.
    const claimed = await this.#search((from, to) =>
      dat.queryFilter(dat.filters.Claimed(classId), from, to),
    );
    const sum = (amounts: readonly bigint[]): string =>
      String(amounts.reduce((total, amount) => total + amount, 0n));
    return {
      classId,
      asset,
      settled: sum(settled.map(({ args }) => args.amount)),
      claimed: sum(claimed.filter(({ args }) => same(args.asset, asset)).map((e) => e.args.amount)),
      pending,
    };
  }

  /**
   * Issues a licence: a token with a quota and an end, without a share.
   *
   * @param expireAt last second of validity, Unix seconds; 0 for never.
   * @throws WaystoneError DAT_NOT_AUTHORISED, DAT_EXPIRY_PAST, CHAIN_CALL_REFUSED.
   */
  async issueLicence(
    classId: bigint,
    licence: { to: string; quota: bigint; expireAt: number },
  ): Promise<SentTransaction & { tokenId: string }> {
    const dat = await this.#contract();
    const call = await dat.mint.populateTransaction(
      ...([classId, licence.to, licence.quota, 0n, licence.expireAt] as const),
    );
    const receipt = await this.#actFor(classId, call);
    const minted = receipt.logs
      .map((log) => dat.interface.parseLog(log))
      .find((event) => event?.name === 'Minted');
    return { ...told(receipt), tokenId: String(minted?.args.tokenId) };
  }

  /** Records calls, which come off the token's quota. @throws WaystoneError DAT_QUOTA_EXCEEDED, DAT_EXPIRED, … */
  async recordUsage(tokenId: bigint, metric: string, amount: bigint): Promise<SentTransaction> {
    const dat = await this.#contract();
    const call = await dat.recordUsage.populateTransaction(tokenId, metricBytes(metric), amount);
    return told(await this.#actFor(tokenId, call));
  }

  /** Pays coin to a class, for whoever has its shares. Anyone may. @throws WaystoneError DAT_NO_SHARE, … */
  async settle(classId: bigint, amountWei: bigint): Promise<SentTransaction> {
    const dat = await this.#contract();
    const call = await dat.settleRevenueETH.populateTransaction(classId, { value: amountWei });
    return told(await this.#sender.send(call));
  }

  /**
   * Claims what is pending, to the token's owner unless `to` says otherwise.
   *
   * @throws WaystoneError DAT_NOTHING_PENDING, DAT_NOT_AUTHORISED, CHAIN_CALL_REFUSED.
   */
  async claim(
    tokenId: bigint,
    { asset = ZeroAddress, to }: { asset?: string; to?: string } = {},
  ): Promise<SentTransaction & { amount: string; to: string }> {
    const { owner, pending } = await this.view(tokenId, asset);
    if (pending === '0') {
      throw new WaystoneError(
        'DAT_NOTHING_PENDING',
        `token ${shortToken(tokenId)} has nothing to claim in ${assetName(asset)}; waystone dat revenue shows what was paid and claimed`,
      );
    }
    const dat = await this.#contract();
    const target = to ?? owner;
    const call = await dat.claim.populateTransaction(tokenId, asset, target);
    const receipt = await this.#actFor(tokenId, call);
    const claimed = receipt.logs
      .map((log) => dat.interface.parseLog(log))
      .find((event) => event?.name === 'Claimed');
    return { ...told(receipt), amount: String(claimed?.args.amount), to: target };
  }

  #search<Event>(query: (from: number, to: number) => Promise<Event[]>): Promise<Event[]> {
    return searchLogs(this.#sender.provider, query);
  }

  async #contract() {
    const { dat } = this.#place;
    await this.#sender.requireContract(dat, 'chain.datAddress');
    return DAT__factory.connect(dat, this.#sender.provider);
  }

  /** Sends a call that the token's owner has to make: by himself, or through the iDAO that he owns. */
  async #actFor(tokenId: bigint, call: ContractTransaction): Promise<TransactionReceipt> {
    const address = this.#sender.address;
    const { owner, classId } = await this.view(tokenId);
    const dat = await this.#contract();
    if (same(owner, address) || (await dat.isApprovedForClass(owner, classId, address))) {
      return await this.#sender.send(call);
    }
    const idao = IDAO__factory.connect(owner, this.#sender.provider);
    const idaoOwner = (await hasCode(this.#sender.provider, owner))
      ? await idao.owner().catch(() => null)
      : null;
    if (idaoOwner === null || !same(idaoOwner, address)) {
      throw new WaystoneError(
        'DAT_NOT_AUTHORISED',
        `token ${shortToken(tokenId)} belongs to ${owner}${idaoOwner === null ? '' : `, an iDAO of ${idaoOwner}`}; ${address} may not act for it. Use the owner's key, or have the owner approve this one for the class`,
      );
    }
    return await this.#sender.send(await idao.execute.populateTransaction(call.to, 0n, call.data));
  }
}

const same = (one: string, other: string): boolean => one.toLowerCase() === other.toLowerCase();

const assetName = (asset: string): string => (asset === ZeroAddress ? 'coin' : asset);

/** Names of up to 32 bytes stand in the event as they are, filled up with zeros. */
function metricBytes(name: string): string {
  const bytes = Buffer.from(name);
  if (bytes.length === 0 || bytes.length > 32) {
    throw new WaystoneError(
      'USAGE',
      `a metric's name has 1 to 32 bytes, "${name}" has ${bytes.length}`,
    );
  }
  return `0x${bytes.toString('hex').padEnd(64, '0')}`;
}

function metricName(hex: string): string {
  return Buffer.from(hex.slice(2), 'hex').toString('utf8').replace(/\0+$/, '');
}
