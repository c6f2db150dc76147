import {
  type BaseWallet,
  type ContractTransaction,
  formatEther,
  type TransactionReceipt,
  ZeroAddress,
} from 'ethers';
import { DAT__factory, IDAO__factory } from '../contracts/types/index.js';
import { messageOf, WaystoneError } from '../core/errors.js';
import { checkChainId, describeRevert, hasCode, type Revert, readRevert } from './chain-client.js';
import { ChainProvider } from './chain-provider.js';
import { chooseFees, type FeeRules, feeFields, readMarket } from './fees.js';

/** Room over the node's guess of a transaction's gas, in per mille. */
const GAS_ROOM_PER_MILLE = 1_200n;

/** Longest wait for one transaction to be mined, ms. It may still be mined after that. */
const MINED_WAIT_MS = 120_000;

/** Where a DAT contract is. */
export interface DatPlace {
  readonly urls: readonly string[];
  readonly chainId: number;
  readonly dat: string;
  readonly fees: FeeRules;
  /** Blocks that must stand on a transaction, its own included. */
  readonly confirmations: number;
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

/** A transaction that is confirmed. */
export interface DatTransaction {
  readonly transaction: string;
  readonly block: number;
  readonly gas: number;
}

/**
 * Data Anchoring Tokens, read and used: licences, quota, revenue. Whoever owns an iDAO acts for the tokens that it holds.
 * Everything is tried on the node before it is signed, so a refusal costs nothing and says why.
 */
export class DatClient {
  readonly #place: DatPlace;
  readonly #provider: ChainProvider;
  readonly #signer: BaseWallet | null;

  /** @param signer null for reading only. */
  constructor(place: DatPlace, signer: BaseWallet | null) {
    this.#place = place;
    this.#provider = new ChainProvider(place.urls, place.chainId);
    this.#signer = signer;
  }

  close(): void {
    this.#provider.destroy();
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
    const events = await dat.queryFilter(dat.filters.UsageRecorded(tokenId), 0);
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
    const events = await dat.queryFilter(dat.filters.Minted(undefined, classId), 0);
    return events.map(({ args }) => String(args.tokenId)).filter((id) => id !== String(classId));
  }

  /** Revenue of a token's class; `pending` is the token's own. */
  async revenue(tokenId: bigint, asset = ZeroAddress): Promise<DatRevenue> {
    const { classId, pending } = await this.view(tokenId, asset);
    const dat = await this.#contract();
    const settled = await dat.queryFilter(dat.filters.RevenueSettled(classId, asset), 0);
    // Licences have no share, so all claims of a class are those of its dataset's token.
    const claimed = await dat.queryFilter(dat.filters.Claimed(classId), 0);
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
   * @throws WaystoneError DAT_NOT_AUTHORISED, DAT_EXPIRY_PAST, DAT_REFUSED.
   */
  async issueLicence(
    classId: bigint,
    licence: { to: string; quota: bigint; expireAt: number },
  ): Promise<DatTransaction & { tokenId: string }> {
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
  async recordUsage(tokenId: bigint, metric: string, amount: bigint): Promise<DatTransaction> {
    const dat = await this.#contract();
    const call = await dat.recordUsage.populateTransaction(tokenId, metricBytes(metric), amount);
    return told(await this.#actFor(tokenId, call));
  }

  /** Pays coin to a class, for whoever has its shares. Anyone may. @throws WaystoneError DAT_NO_SHARE, … */
  async settle(classId: bigint, amountWei: bigint): Promise<DatTransaction> {
    const dat = await this.#contract();
    const call = await dat.settleRevenueETH.populateTransaction(classId, { value: amountWei });
    return told(await this.#send(call));
  }

  /**
   * Claims what is pending, to the token's owner unless `to` says otherwise.
   *
   * @throws WaystoneError DAT_NOTHING_PENDING, DAT_NOT_AUTHORISED, DAT_REFUSED.
   */
  async claim(
    tokenId: bigint,
    { asset = ZeroAddress, to }: { asset?: string; to?: string } = {},
  ): Promise<DatTransaction & { amount: string; to: string }> {
    const { owner, pending } = await this.view(tokenId, asset);
    if (pending === '0') {
      throw new WaystoneError(
        'DAT_NOTHING_PENDING',
        `token ${short(tokenId)} has nothing to claim in ${assetName(asset)}; waystone dat revenue shows what was paid and claimed`,
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

  async #contract() {
    const { dat, chainId } = this.#place;
    await checkChainId(this.#provider, chainId);
    if (!(await hasCode(this.#provider, dat))) {
      throw new WaystoneError(
        'CHAIN_CONTRACT_MISSING',
        `there is no contract at ${dat} on chain ${chainId}; check chain.network and chain.datAddress`,
      );
    }
    return DAT__factory.connect(dat, this.#provider);
  }

  /** Sends a call that the token's owner has to make: by himself, or through the iDAO that he owns. */
  async #actFor(tokenId: bigint, call: ContractTransaction): Promise<TransactionReceipt> {
    const { address } = this.#needSigner();
    const { owner, classId } = await this.view(tokenId);
    const dat = await this.#contract();
    if (same(owner, address) || (await dat.isApprovedForClass(owner, classId, address))) {
      return await this.#send(call);
    }
    const idao = IDAO__factory.connect(owner, this.#provider);
    const idaoOwner = (await hasCode(this.#provider, owner))
      ? await idao.owner().catch(() => null)
      : null;
    if (idaoOwner === null || !same(idaoOwner, address)) {
      throw new WaystoneError(
        'DAT_NOT_AUTHORISED',
        `token ${short(tokenId)} belongs to ${owner}${idaoOwner === null ? '' : `, an iDAO of ${idaoOwner}`}; ${address} may not act for it. Use the owner's key, or have the owner approve this one for the class`,
      );
    }
    return await this.#send(await idao.execute.populateTransaction(call.to, 0n, call.data));
  }

  async #send(call: ContractTransaction): Promise<TransactionReceipt> {
    const signer = this.#needSigner().connect(this.#provider);
    const { chainId, fees, confirmations } = this.#place;
    const request = { ...call, from: signer.address, chainId };
    const balance = await this.#provider.getBalance(signer.address);
    const checkBalance = (needed: bigint): void => {
      if (balance >= needed) return;
      throw new WaystoneError(
        'CHAIN_BALANCE_LOW',
        `${signer.address} has ${formatEther(balance)} coin, up to ${formatEther(needed)} are needed; send it some`,
      );
    };
    checkBalance(call.value ?? 0n);
    let gas: bigint;
    try {
      await this.#provider.call(request);
      gas = ((await this.#provider.estimateGas(request)) * GAS_ROOM_PER_MILLE) / 1_000n;
    } catch (error) {
      throw explain(error);
    }
    const offered = chooseFees(await readMarket(this.#provider, fees), fees, null);
    checkBalance(gas * offered.maxFeeWei + (call.value ?? 0n));
    const sent = await signer.sendTransaction({
      ...call,
      ...feeFields(offered),
      chainId,
      gasLimit: gas,
    });
    let receipt: TransactionReceipt | null;
    try {
      receipt = await sent.wait(confirmations, MINED_WAIT_MS);
    } catch (error) {
      if (readRevert(error) !== null) throw explain(error);
      throw new WaystoneError(
        'DAT_UNCONFIRMED',
        `transaction ${sent.hash} was sent and is not confirmed: ${messageOf(error)}. It may still be; look at it before you send the same again`,
        { cause: error },
      );
    }
    if (receipt === null) throw new TypeError(`no receipt of ${sent.hash}`);
    return receipt;
  }

  #needSigner(): BaseWallet {
    if (this.#signer !== null) return this.#signer;
    throw new WaystoneError(
      'DAT_KEY_MISSING',
      'this needs a key to sign with: give --keystore and --password-file',
    );
  }
}

const told = ({ hash, blockNumber, gasUsed }: TransactionReceipt): DatTransaction => ({
  transaction: hash,
  block: blockNumber,
  gas: Number(gasUsed),
});

const same = (one: string, other: string): boolean => one.toLowerCase() === other.toLowerCase();

const assetName = (asset: string): string => (asset === ZeroAddress ? 'coin' : asset);

function short(tokenId: bigint | string): string {
  const text = String(tokenId);
  return text.length > 12 ? `${text.slice(0, 8)}…${text.slice(-4)}` : text;
}

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

/** A contract's refusal in words; other errors as they are. */
function explain(error: unknown): unknown {
  const revert = readRevert(error);
  if (revert === null) return error;
  const [code, message] = wordsOf(revert);
  return new WaystoneError(code, message, { cause: error });
}

function wordsOf(revert: Revert): [code: string, message: string] {
  const [first, second, third] = revert.args.map(String);
  switch (revert.name) {
    case 'QuotaExceeded':
      return [
        'DAT_QUOTA_EXCEEDED',
        `token ${short(first ?? '')} has ${second} calls left, ${third} are wanted; record less, or have its issuer issue another licence`,
      ];
    case 'TokenExpired':
      return [
        'DAT_EXPIRED',
        `token ${short(first ?? '')} ended at ${new Date(Number(second) * 1_000).toISOString()}; have its issuer issue another licence`,
      ];
    case 'ExpiryInPast':
      return ['DAT_EXPIRY_PAST', 'the licence would end in the past; name a later end'];
    case 'UnknownClass':
    case 'ERC721NonexistentToken':
      return [
        'DAT_UNKNOWN',
        `there is no token ${short(first ?? '')} in this contract; waystone datasets list shows those of this gateway`,
      ];
    case 'NoActiveShare':
      return [
        'DAT_NO_SHARE',
        "nobody could claim it: the dataset's token has expired. Nothing was paid",
      ];
    default:
      return ['DAT_REFUSED', `the contract refuses it: ${describeRevert(revert)}`];
  }
}
