import { type BaseWallet, type ContractTransaction, isAddress, ZeroAddress } from 'ethers';
import {
  DAT__factory,
  DatasetForge__factory,
  IDAO__factory,
  IDAOFactory__factory,
} from '../contracts/types/index.js';
import { WaystoneError } from '../core/errors.js';
import { ROLES, type Role } from '../core/idao-roles.js';
import { DEFAULT_IDAO_SALT, idaoAddress } from './addresses.js';
import { hasCode } from './chain-client.js';
import { type ChainPlace, ChainSender, type SentTransaction, told } from './chain-sender.js';
import { searchLogs } from './log-search.js';
import { explain } from './refusals.js';

/** Where an iDAO and the contracts around it are; "" for what is not known. */
export interface IdaoPlace extends ChainPlace {
  readonly factory: string;
  readonly datasetForge: string;
  readonly dat: string;
  readonly idao: string;
}

/** A gateway's hot key, and how far its rights go. */
export interface OperatorView {
  readonly address: string;
  /** Unix seconds until which it may act; 0 is for ever. */
  readonly until: number;
  /** Datasets that it may commit on one day (UTC); 0 is any number. */
  readonly datasetsPerDay: number;
}

export interface MemberView {
  readonly address: string;
  readonly roles: readonly Role[];
}

/** An iDAO as the contracts tell it. Amounts are decimal strings of wei, times Unix seconds. */
export interface IdaoView {
  readonly idao: string;
  readonly name: string;
  readonly description: string;
  readonly owner: string;
  /** Who may take ownership, or 0x0…. */
  readonly pendingOwner: string;
  /** Hot keys that may register devices, commit and finalise; those whose time is over are not among them. */
  readonly operators: readonly OperatorView[];
  /** Who has roles. */
  readonly members: readonly MemberView[];
  readonly treasury: string;
  /** Tokens that it holds. */
  readonly tokens: number;
  /** Where the metadata of its datasets is, or "". */
  readonly metadataBase: string;
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
    const dats = DAT__factory.connect(dat, this.#sender.provider);
    const [
      name,
      description,
      owner,
      pendingOwner,
      named,
      given,
      treasury,
      tokens,
      base,
      bond,
      minimum,
    ] = await Promise.all([
      idao.name(),
      idao.description(),
      idao.owner(),
      idao.pendingOwner(),
      searchLogs(this.#sender.provider, (from, to) =>
        idao.queryFilter(idao.filters.OperatorSet(), from, to),
      ),
      searchLogs(this.#sender.provider, (from, to) =>
        idao.queryFilter(idao.filters.RolesSet(), from, to),
      ),
      this.#sender.provider.getBalance(address),
      dats.balanceOf(address),
      dats.metadataBaseOf(address),
      forge.bondOf(address),
      forge.minimumBond(),
    ]);
    const operators: OperatorView[] = [];
    for (const operator of new Set(named.map(({ args }) => args.operator))) {
      if (!(await idao.isOperator(operator))) continue;
      const { until, datasetsPerDay } = await idao.operatorOf(operator);
      const limits = { until: Number(until), datasetsPerDay: Number(datasetsPerDay) };
      operators.push({ address: operator, ...limits });
    }
    const members: MemberView[] = [];
    for (const member of new Set(given.map(({ args }) => args.member))) {
      const roles = rolesIn(Number(await idao.rolesOf(member)));
      if (roles.length > 0) members.push({ address: member, roles });
    }
    const { amount, requested, takeableAt } = bond;
    return {
      ...{ idao: address, name, description, owner, pendingOwner, operators, members },
      treasury: String(treasury),
      tokens: Number(tokens),
      metadataBase: base,
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

  /**
   * Allows a gateway's hot key, or takes its rights away. Done again, it changes nothing.
   *
   * @param limits until when, and how much a day; without them it may for ever, any number.
   */
  async setOperator(
    operator: string,
    isAllowed: boolean,
    limits: Omit<OperatorView, 'address'> = { until: 0, datasetsPerDay: 0 },
  ): Promise<SentTransaction> {
    requireAddress(operator);
    const idao = await this.#idao();
    const { until, datasetsPerDay } = limits;
    if (!isAllowed || (until === 0 && datasetsPerDay === 0)) {
      return await this.#send(idao.setOperator.populateTransaction(operator, isAllowed));
    }
    return await this.#send(
      idao.limitOperator.populateTransaction(operator, until, datasetsPerDay),
    );
  }

  /** Gives a member exactly these roles; none ends the membership. */
  async setRoles(member: string, roles: readonly Role[]): Promise<SentTransaction> {
    requireAddress(member);
    const idao = await this.#idao();
    const mask = roles.reduce((sum, role) => sum | ROLES[role], 0);
    return await this.#send(idao.setRoles.populateTransaction(member, mask));
  }

  /** Says where the metadata of all its datasets is: an address, to which a token's id and ".json" are added. */
  async setMetadataBase(base: string): Promise<SentTransaction> {
    const idao = await this.#idao();
    const data = DAT__factory.createInterface().encodeFunctionData('setMetadataBase', [base]);
    return await this.#send(idao.execute.populateTransaction(this.#place.dat, 0, data));
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

const rolesIn = (mask: number): Role[] =>
  (Object.keys(ROLES) as Role[]).filter((role) => (mask & ROLES[role]) !== 0);

function requireAddress(text: string): void {
  if (isAddress(text)) return;
  throw new WaystoneError(
    'USAGE',
    `${text} is no address: 0x and 40 hex digits, with the capitals of its checksum or none`,
  );
}
