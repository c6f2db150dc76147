import { join } from 'node:path';
import {
  encodeReceipt,
  encodeReceiptBody,
  encodeReceiptHead,
  fromHex,
  keyId,
  leafHash,
  MerkleTree,
  realmOf,
  statementHash,
  toHex,
} from '@waystone/proto';
import { type JsonRpcProvider, NonceManager, parseEther } from 'ethers';
import {
  DatasetForge__factory,
  DeviceRegistry__factory,
  IDAOFactory__factory,
} from '../contracts/types/index.js';
import {
  addCheckpoint,
  type WrittenDataset,
  writeDatasetFolder,
} from '../dataset/folder-writer.js';
import {
  didOfKeys,
  makeCheckpoint,
  makeFrame,
  makeKey,
  makeRow,
  type TestKey,
  type TestRow,
} from '../dataset/testing.js';
import { DEFAULT_IDAO_SALT } from '../forge/addresses.js';
import { type Anvil, startAnvil } from '../forge/anvil-process.js';
import { connectChain } from '../forge/chain-client.js';
import { deployContracts } from '../forge/deploy.js';
import { jsonRpc } from '../forge/json-rpc.js';
import { type LocalKeys, loadLocalKeys } from '../forge/local-keys.js';

/** A public network's id, so that bonds, windows and deposits are those of a public chain. */
export const CHAIN_ID = 59_902;

export const DAY = 86_400;

const NOBODY = `0x${'0'.repeat(40)}`;

export const TERMS = {
  windowSeconds: 8 * DAY,
  responseSeconds: 7 * DAY,
  minimumBond: parseEther('50'),
  slice: parseEther('10'),
  deposit: parseEther('1'),
  attester: NOBODY,
};

/** A node with the contracts of a public chain, one bonded iDAO, and a challenger with coin. */
export class PublicChain {
  readonly keys: LocalKeys;
  readonly provider: JsonRpcProvider;
  /** Signs for all gateways of the iDAO. */
  readonly owner: NonceManager;
  readonly #anvil: Anvil;

  private constructor(keys: LocalKeys, provider: JsonRpcProvider, anvil: Anvil) {
    this.keys = keys;
    this.provider = provider;
    this.owner = new NonceManager(keys.owner.connect(provider));
    this.#anvil = anvil;
  }

  static async start(folder: string): Promise<PublicChain> {
    const keys = loadLocalKeys(join(folder, 'mnemonic'));
    const anvil = await startAnvil({ chainId: CHAIN_ID, markFile: join(folder, 'anvil.json') });
    const provider = connectChain(anvil.url, CHAIN_ID);
    const chain = new PublicChain(keys, provider, anvil);
    for (const { address } of [keys.deployer, keys.owner, keys.operator]) {
      await chain.give(address, '1000');
    }
    await deployContracts(provider, keys.deployer, TERMS);
    return chain;
  }

  get url(): string {
    return this.#anvil.url;
  }

  async give(address: string, coin: string): Promise<void> {
    const wei = `0x${parseEther(coin).toString(16)}`;
    await jsonRpc(this.url, 'anvil_setBalance', [address, wei]);
  }

  /** Lets the chain's time pass. */
  async pass(seconds: number): Promise<void> {
    await jsonRpc(this.url, 'evm_increaseTime', [seconds]);
    await jsonRpc(this.url, 'evm_mine');
  }

  async now(): Promise<number> {
    return (await this.provider.getBlock('latest'))?.timestamp ?? 0;
  }

  async stop(): Promise<void> {
    this.provider.destroy();
    await this.#anvil.stop();
  }
}

/** What a cheat changes of a dataset before it commits it. */
export interface Cheat {
  readonly logIndex?: number;
  readonly logSize?: number;
  readonly minTime?: number;
  readonly maxTime?: number;
}

/**
 * A gateway that seals and commits whatever it is told, with a real key, a real iDAO and the product's own writer of
 * folders. It checks nothing.
 */
export class CheatingGateway {
  readonly key = makeKey('secp256k1');
  readonly logId = toHex(makeKey('secp256k1').id).slice(0, 32);
  readonly #chain: PublicChain;
  readonly #parent: string;
  #index = 0;

  constructor(chain: PublicChain, parent: string) {
    this.#chain = chain;
    this.#parent = parent;
  }

  /** Creates its iDAO if need be, with a bond of 500, and registers its key. */
  async start(): Promise<void> {
    const { contracts, idao, owner } = this.#chain.keys;
    if ((await this.#chain.provider.getCode(idao)) === '0x') {
      const factory = IDAOFactory__factory.connect(contracts.factory, this.#chain.owner);
      const made = await factory.create(DEFAULT_IDAO_SALT, {
        ownerAddress: owner.address,
        tokenAddress: NOBODY,
        verifiedComputingAddress: NOBODY,
        settlementAddress: NOBODY,
        name: 'cheat',
        description: '',
      });
      await made.wait();
      await (await this.#forge.depositBond(idao, { value: parseEther('500') })).wait();
    }
    await this.register(this.key, 2);
  }

  /** @param kind 1 device, 2 gateway. */
  async register({ publicKey }: TestKey, kind = 1): Promise<void> {
    const keyType = { secp256k1: 1, 'P-256': 2, Ed25519: 3 }[publicKey.type];
    const key = { keyType, kind, publicKey: publicKey.bytes };
    await (await this.#registry.register(this.#chain.keys.idao, key)).wait();
  }

  async revoke({ id }: TestKey): Promise<void> {
    await (await this.#registry.revoke(this.#chain.keys.idao, id)).wait();
  }

  /** An envelope of two frames as it ends up in a dataset, honest unless something is changed. */
  row(device: TestKey, options: Partial<Parameters<typeof makeRow>[1]> = {}): TestRow {
    const { frames = [makeFrame(1), makeFrame(2)], change, ...rest } = options;
    return makeRow(device, {
      ...rest,
      frames,
      change: (honest) => {
        const ours = { ...honest, realm: realmOf(CHAIN_ID, this.#chain.keys.idao) };
        return change?.(ours) ?? ours;
      },
    });
  }

  /** Writes the folder of the next dataset of its log, with a signed checkpoint. */
  async seal(
    rows: readonly TestRow[],
    devices: readonly TestKey[],
    { logIndex = this.#index++, logSize = logIndex + 1 }: Cheat = {},
  ): Promise<WrittenDataset> {
    const { idao } = this.#chain.keys;
    const identity = {
      ...{ stream: 7, streamName: 'drive', realm: toHex(realmOf(CHAIN_ID, idao)) },
      ...{ chainId: CHAIN_ID, idao, gateway: this.key.did, logId: this.logId, logIndex },
      sealedAtUs: Date.now() * 1_000,
    };
    const options = { identity, parent: this.#parent, didOf: didOfKeys(devices) };
    const written = await writeDatasetFolder(options, rows);
    await addCheckpoint(written.directory, makeCheckpoint(this.key, written, logSize));
    return written;
  }

  /** Commits a sealed dataset. */
  async commit(written: WrittenDataset, { minTime, maxTime }: Cheat = {}): Promise<string> {
    const { manifest } = written;
    const { idao } = this.#chain.keys;
    const sent = await this.#forge.commit({
      idao,
      gateway: keyId(this.key.publicKey),
      logId: fromHex(this.logId),
      index: manifest.logIndex,
      root: written.root,
      count: written.count,
      manifestHash: written.manifestHash,
      minTime: minTime ?? manifest.time.minUs,
      maxTime: maxTime ?? manifest.time.maxUs,
      url: 'https://cheat.example/entries',
    });
    await sent.wait();
    return await this.#forge.keyOf(idao, `0x${this.logId}`, manifest.logIndex);
  }

  /** A signed receipt `stored` for an entry, which says that another leaf was stored if one is given. */
  receipt({ entry }: TestRow, entryLeaf = leafHash(entry)): Uint8Array {
    const bodyBytes = encodeReceiptBody({
      device: entry.subarray(48, 80),
      statement: statementHash(entry.subarray(0, 200)),
      outcome: { kind: 'stored', entryLeaf },
    });
    const tree = new MerkleTree([leafHash(Uint8Array.of(1)), leafHash(bodyBytes)]);
    const headBytes = encodeReceiptHead({
      gateway: this.key.id,
      logId: fromHex(this.logId),
      size: 2,
      root: tree.root,
    });
    const signature = this.key.sign(headBytes);
    const path = tree.inclusionProof(1);
    return encodeReceipt({ headBytes, signature, bodyBytes, index: 1, path });
  }

  async bond(): Promise<bigint> {
    return (await this.#forge.bondOf(this.#chain.keys.idao)).amount;
  }

  /** 1 committed, 2 finalised, 3 void. */
  async status(key: string): Promise<number> {
    return Number((await this.#forge.statusOf(key)).status);
  }

  get #forge() {
    return DatasetForge__factory.connect(
      this.#chain.keys.contracts.datasetForge,
      this.#chain.owner,
    );
  }

  get #registry() {
    return DeviceRegistry__factory.connect(this.#chain.keys.contracts.registry, this.#chain.owner);
  }
}
