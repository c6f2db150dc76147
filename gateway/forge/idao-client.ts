import { type BaseWallet, type ContractTransaction, isAddress, ZeroAddress } from 'ethers';
import {
  DAT__factory,
  DatasetForge__factory,
  IDAO__factory,
  IDAOFactory__factory,
} from '../contracts/types/index.js';
import { WaystoneError } from '../core/errors.js';
import { DEFAULT_IDAO_SALT, idaoAddress } from './addresses.js';
import { hasCode } from './chain-client.js';
import { type ChainPlace, ChainSender, type SentTransaction, told } from './chain-sender.js';
import { explain } from './refusals.js';

/** Where an iDAO and the contracts around it are; "" for what is not known. */
export interface IdaoPlace extends ChainPlace {
  readonly factory: string;
  readonly datasetForge: string;
  readonly dat: string;
  readonly idao: string;
}

/** An iDAO as the contracts tell it. Amounts are decimal strings of wei, times Unix seconds. */
export interface IdaoView {
  readonly idao: string;
  readonly name: string;
  readonly description: string;
  readonly owner: string;
  /** Who may take ownership, or 0x0…. */
  readonly pendingOwner: string;
  /** Hot keys that may register devices, commit and finalise. */
  readonly operators: readonly string[];
  readonly treasury: string;
  /** Tokens that it holds. */
  readonly tokens: number;
  readonly bond: {
    /** All that answers for faults. */
    readonly amount: string;
    /** Without so much nothing is committed. */
    readonly minimum: string;
    /** What is asked back, and from when it may be taken; 0 when nothing is. */
    readonly requested: string;
    readonly takeableAt: number;
  };
}

/** An iDAO, read and run by its owner. */
export class IdaoClient {
  readonly #place: IdaoPlace;
  readonly #sender: ChainSender;

  /** @param signer null for reading only. */
  constructor(place: IdaoPlace, signer: BaseWallet | null) {
    this.#place = place;
    this.#sender = new ChainSender(place, signer);
  }

  close(): void {
    this.#sender.close();
  }

  /** @throws WaystoneError CHAIN_CONTRACT_MISSING where there is no iDAO yet. */
  async view(): Promise<IdaoView> {
    const { idao: address, dat } = this.#place;
    const idao = await this.#idao();
    const forge = await this.#datasetForge();
    const [name, description, owner, pendingOwner, named, treasury, tokens, bond, minimum] =
      await Promise.all([
        idao.name(),
        idao.description(),
        idao.owner(),
        idao.pendingOwner(),
        idao.queryFilter(idao.filters.OperatorSet(), 0),
        this.#sender.provider.getBalance(address),
        DAT__factory.connect(dat, this.#sender.provider).balanceOf(address),
        forge.bondOf(address),
        forge.minimumBond(),
      ]);
    const operators: string[] = [];
    for (const operator of new Set(named.map(({ args }) => args.operator))) {
      if (await idao.isOperator(operator)) operators.push(operator);
    }
    const { amount, requested, takeableAt } = bond;
    return {
      ...{ idao: address, name, description, owner, pendingOwner, operators },
      treasury: String(treasury),
      tokens: Number(tokens),
      bond: {
        amount: String(amount),
        minimum: String(minimum),
        requested: String(requested),
        takeableAt: Number(takeableAt),
      },
    };
  }

  /**
   * Creates the iDAO of the key that signs, at the address that follows from it.
   *
   * @throws WaystoneError IDAO_EXISTS.
   */
  async create(text: {
    name: string;
    description: string;
  }): Promise<SentTransaction & { idao: string }> {
    const { factory } = this.#place;
    await this.#sender.requireContract(factory, 'chain.factoryAddress');
    const owner = this.#sender.address;
    const idao = idaoAddress(factory, owner);
    if (await hasCode(this.#sender.provider, idao)) {
      throw new WaystoneError(
        'IDAO_EXISTS',
        `${owner} has its iDAO already, ${idao}; set chain.idaoAddress to it`,
      );
    }
    const call = await IDAOFactory__factory.connect(
      factory,
      this.#sender.provider,
    ).create.populateTransaction(DEFAULT_IDAO_SALT, {
      ownerAddress: owner,
      tokenAddress: ZeroAddress,
      verifiedComputingAddress: ZeroAddress,
      settlementAddress: ZeroAddress,
      ...text,
    });
    return { ...told(await this.#sender.send(call)), idao };
  }

  /** Allows a gateway's hot key, or takes its rights away. Done again, it changes nothing. */
  async setOperator(operator: string, isAllowed: boolean): Promise<SentTransaction> {
    if (!isAddress(operator)) {
      throw new WaystoneError(
        'USAGE',
        `${operator} is no address: 0x and 40 hex digits, with the capitals of its checksum or none`,
      );
    }
    const idao = await this.#idao();
    return await this.#send(idao.setOperator.populateTransaction(operator, isAllowed));
  }

  /** Adds to the bond. Anyone may. */
  async depositBond(wei: bigint): Promise<SentTransaction> {
    await this.#idao();
    const forge = await this.#datasetForge();
    return await this.#send(
      forge.depositBond.populateTransaction(this.#place.idao, { value: wei }),
    );
  }

  /** Asks back a part of the bond; replaces an earlier request, and zero ends it. */
  async requestBond(wei: bigint): Promise<SentTransaction> {
    const forge = await this.#datasetForge();
    return await this.#send(forge.requestBond.populateTransaction(this.#place.idao, wei));
  }

  /** Takes what was asked back into the treasury. @throws WaystoneError BOND_NOT_TAKEABLE. */
  async takeBond(): Promise<SentTransaction> {
    const forge = await this.#datasetForge();
    return await this.#send(forge.takeBond.populateTransaction(this.#place.idao));
  }

  async #send(call: Promise<ContractTransaction>): Promise<SentTransaction> {
    let made: ContractTransaction;
    try {
      made = await call;
    } catch (error) {
      throw explain(error);
    }
    return told(await this.#sender.send(made));
  }

  async #idao() {
    const { idao } = this.#place;
    if (idao === '') {
      throw new WaystoneError(
        'FORGE_NO_ADDRESSES',
        'chain.idaoAddress is not set; waystone idao create makes one and says its address',
      );
    }
    await this.#sender.requireContract(idao, 'chain.idaoAddress');
    return IDAO__factory.connect(idao, this.#sender.provider);
  }

  async #datasetForge() {
    const { datasetForge } = this.#place;
    if (datasetForge === '') {
      throw new WaystoneError(
        'FORGE_NO_ADDRESSES',
        'chain.datasetForgeAddress is not set; without it there is no bond',
      );
    }
    await this.#sender.requireContract(datasetForge, 'chain.datasetForgeAddress');
    return DatasetForge__factory.connect(datasetForge, this.#sender.provider);
  }
}
