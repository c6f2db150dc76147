import { affineY, fromHex, keyTypeFromNumber, toHex } from '@waystone/proto';
import { type BaseWallet, type JsonRpcProvider, ZeroHash } from 'ethers';
import {
  DAT__factory,
  type DatasetForge,
  DatasetForge__factory,
  type DeviceRegistry,
  DeviceRegistry__factory,
  IDAO__factory,
  IDAOFactory__factory,
} from '../contracts/types/index.js';
import { WaystoneError } from '../core/errors.js';
import type { ChainBlock, ForgeKey, KeyProof } from '../core/forge-ports.js';
import type { ContractAddresses } from './addresses.js';
import { hasCode } from './chain-client.js';
import type { DatFacts } from './dat-metadata.js';
import type { DatasetPayload, DatasetRecord, DatParams } from './dataset-record.js';
import { searchLogs } from './log-search.js';

/** Keys looked up at the node at a time. */
const LOOKUPS_AT_ONCE = 16;

/** Registry's numbers of what a key is for. */
export const KEY_KINDS = { device: 1, gateway: 2 } as const;

const STATUS = ['absent', 'committed', 'finalised', 'void'] as const;

/** What DatasetForge knows of a dataset. */
export interface DatasetStatus {
  readonly status: (typeof STATUS)[number];
  /** Unix seconds; 0 while absent. */
  readonly committedAt: number;
  /** Decimal; "0" until finalised. */
  readonly tokenId: string;
  readonly recordHash: string;
}

/** Where a key stands in the registry. */
export type KeyStanding = 'absent' | 'ours' | 'revoked';

/** A key in the registry. Times are those of blocks, in µs; null means never. */
export interface KeyRecord {
  readonly standing: KeyStanding;
  readonly registeredAtUs: number | null;
  readonly revokedAtUs: number | null;
}

/** Our contracts on one node: views, and the data of calls. */
export class ForgeContracts {
  readonly addresses: ContractAddresses;
  readonly idao: string;
  readonly #provider: JsonRpcProvider;
  readonly #forge: DatasetForge;
  readonly #registry: DeviceRegistry;

  constructor(provider: JsonRpcProvider, addresses: ContractAddresses, idao: string) {
    this.addresses = addresses;
    this.idao = idao;
    this.#provider = provider;
    this.#forge = DatasetForge__factory.connect(addresses.datasetForge, provider);
    this.#registry = DeviceRegistry__factory.connect(addresses.registry, provider);
  }

  /** @throws WaystoneError CHAIN_CONTRACT_MISSING naming the contract and where it should be. */
  async check(): Promise<void> {
    // Not `challenges`: forging does not need it, and a local chain of an earlier release lacks it.
    for (const name of ['factory', 'registry', 'dat', 'datasetForge'] as const) {
      const address = this.addresses[name];
      if (await hasCode(this.#provider, address)) continue;
      throw new WaystoneError(
        'CHAIN_CONTRACT_MISSING',
        `there is no contract ${name} at ${address}; check the network and the addresses`,
      );
    }
  }

  async statusOf(key: string): Promise<DatasetStatus> {
    const [status, committedAt, tokenId, recordHash] = await this.#forge.statusOf(key);
    const name = STATUS[Number(status)];
    if (name === undefined) throw new TypeError(`DatasetForge gave the unknown status ${status}`);
    return { status: name, committedAt: Number(committedAt), tokenId: String(tokenId), recordHash };
  }

  /** Seconds between commit and finalise. */
  async windowSeconds(): Promise<number> {
    return Number(await this.#forge.windowSeconds());
  }

  /** The transaction that finalised a dataset; null when the node keeps no such log. */
  async finalisedIn(key: string): Promise<{ hash: string; block: ChainBlock } | null> {
    const [event] = await searchLogs(
      this.#provider,
      (from, to) => this.#forge.queryFilter(this.#forge.filters.DatasetFinalised(key), from, to),
      (found) => found.length > 0,
    );
    if (event === undefined) return null;
    return {
      hash: event.transactionHash,
      block: { number: event.blockNumber, hash: event.blockHash },
    };
  }

  /** What a token's metadata says beside its record. */
  async datFacts({
    devices,
  }: DatasetPayload): Promise<Pick<DatFacts, 'windowSeconds' | 'bondWei' | 'attestationLevel'>> {
    const windowSeconds = await this.windowSeconds();
    const { amount } = await this.#forge.bondOf(this.idao);
    let attestationLevel = Number.POSITIVE_INFINITY;
    for (let from = 0; from < devices.length; from += LOOKUPS_AT_ONCE) {
      const records = await Promise.all(
        devices
          .slice(from, from + LOOKUPS_AT_ONCE)
          .map(({ deviceId }) => this.#registry.recordOf(this.idao, `0x${deviceId}`)),
      );
      for (const record of records) {
        attestationLevel = Math.min(attestationLevel, Number(record.attestationLevel));
      }
    }
    return { windowSeconds, bondWei: String(amount), attestationLevel };
  }

  idaoExists(): Promise<boolean> {
    return hasCode(this.#provider, this.idao);
  }

  canForge(account: string): Promise<boolean> {
    return IDAO__factory.connect(this.idao, this.#provider).canForge(account);
  }

  async standingOf(keyId: string): Promise<KeyStanding> {
    return (await this.keyRecord(keyId)).standing;
  }

  async keyRecord(keyId: string): Promise<KeyRecord> {
    const record = await this.#registry.recordOf(this.idao, `0x${keyId}`);
    const [registeredAtUs, revokedAtUs] = [record.registeredAt, record.revokedAt].map((seconds) =>
      seconds === 0n ? null : Number(seconds) * 1e6,
    ) as [number | null, number | null];
    const times = { registeredAtUs, revokedAtUs };
    if (registeredAtUs === null) return { standing: 'absent', ...times };
    return { standing: revokedAtUs === null ? 'ours' : 'revoked', ...times };
  }

  commit(record: DatasetRecord): { to: string; data: string } {
    const data = this.#forge.interface.encodeFunctionData('commit', [record]);
    return { to: this.addresses.datasetForge, data };
  }

  finalise(record: DatasetRecord, params: DatParams): { to: string; data: string } {
    const data = this.#forge.interface.encodeFunctionData('finalise', [record, params]);
    return { to: this.addresses.datasetForge, data };
  }

  createIdao(
    owner: BaseWallet,
    salt: string,
    text: { name: string; description: string },
  ): { to: string; data: string } {
    const none = '0x0000000000000000000000000000000000000000';
    const params = {
      ownerAddress: owner.address,
      tokenAddress: none,
      verifiedComputingAddress: none,
      settlementAddress: none,
      ...text,
    };
    const data = IDAOFactory__factory.createInterface().encodeFunctionData('create', [
      salt,
      params,
    ]);
    return { to: this.addresses.factory, data };
  }

  setOperator(operator: string): { to: string; data: string } {
    const data = IDAO__factory.createInterface().encodeFunctionData('setOperator', [
      operator,
      true,
    ]);
    return { to: this.idao, data };
  }

  metadataBase(): Promise<string> {
    return DAT__factory.connect(this.addresses.dat, this.#provider).metadataBaseOf(this.idao);
  }

  setMetadataBase(base: string): { to: string; data: string } {
    const data = DAT__factory.createInterface().encodeFunctionData('setMetadataBase', [base]);
    const execute = [this.addresses.dat, 0, data] as const;
    return {
      to: this.idao,
      data: IDAO__factory.createInterface().encodeFunctionData('execute', [...execute]),
    };
  }

  /** @param proofs of those keys that have one, by key id. */
  registerKeys(
    keys: readonly ForgeKey[],
    kind: number,
    proofs: ReadonlyMap<string, KeyProof> = new Map(),
  ): { to: string; data: string } {
    const given = keys.map((key) => ({
      keyType: key.keyType,
      kind,
      publicKey: `0x${key.publicKey}`,
    }));
    const { interface: calls } = this.#registry;
    const data =
      proofs.size === 0
        ? calls.encodeFunctionData('registerMany', [this.idao, given])
        : calls.encodeFunctionData('registerProven', [
            this.idao,
            given,
            keys.map((key) => possessionOf(key, proofs.get(key.deviceId))),
          ]);
    return { to: this.addresses.registry, data };
  }
}

const NO_PROOF = { expiry: 0, y: ZeroHash, signature: '0x' };

/** A proof as the registry takes it; none for a key that cannot have one. */
function possessionOf(key: ForgeKey, proof: KeyProof | undefined): typeof NO_PROOF {
  const type = keyTypeFromNumber(key.keyType);
  if (proof === undefined || type === null) return NO_PROOF;
  const y = affineY({ type, bytes: fromHex(key.publicKey) });
  if (y === null) return NO_PROOF;
  return { expiry: proof.expiry, y: `0x${toHex(y)}`, signature: `0x${proof.signature}` };
}
