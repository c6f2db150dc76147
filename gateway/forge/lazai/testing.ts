import { constants, generateKeyPairSync, type KeyObject, privateDecrypt } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import Database from 'better-sqlite3';
import {
  AbiCoder,
  ContractFactory,
  getBytes,
  type HDNodeWallet,
  type Interface,
  type JsonRpcProvider,
  keccak256,
  type TransactionReceipt,
  toQuantity,
  Wallet,
  ZeroAddress,
} from 'ethers';
import { IDAO__factory, IDAOFactory__factory } from '../../contracts/types/index.js';
import type { ForgeJournal } from '../../core/forge-ports.js';
import type { LazaiJournal } from '../../core/lazai-ports.js';
import { forgeJournalOperations } from '../../ledger/forge-journal.js';
import { lazaiJournalOperations } from '../../ledger/lazai-journal.js';
import { prepareLedger } from '../../ledger/schema.js';
import { DEFAULT_IDAO_SALT } from '../addresses.js';
import { type Anvil, startAnvil } from '../anvil-process.js';
import { connectChain } from '../chain-client.js';
import type { LazaiAddresses } from './addresses.js';
import { DATA_REGISTRY, VERIFIED_COMPUTING } from './lazai-abi.js';

/** LazAI's testnet and the local chain of its developers share it. */
export const LAZAI_CHAIN_ID = 133_718;

const ARTIFACTS = fileURLToPath(new URL('../../contracts/test-lazai/artifacts', import.meta.url));

/** Enough for any test, in wei. */
const RICH = toQuantity(10n ** 20n);

export interface Artifact {
  readonly abi: string[];
  readonly bytecode: string;
}

/** A stand-in for one of LazAI's contracts. */
export function readArtifact(name: string): Artifact {
  return JSON.parse(readFileSync(join(ARTIFACTS, `${name}.json`), 'utf8')) as Artifact;
}

/** LazAI's contracts and an iDAO of ours on a real local node. */
export interface LazaiChain {
  /** Of its node. */
  readonly url: string;
  readonly provider: JsonRpcProvider;
  readonly addresses: LazaiAddresses;
  readonly idao: string;
  readonly admin: HDNodeWallet;
  /** The registry's RSA key. */
  readonly registryKey: RsaKey;
  /** A new account with coin. */
  account(): Promise<HDNodeWallet>;
  deploy(name: string, args: readonly unknown[]): Promise<string>;
  /** Lets the registry mint another token. */
  useToken(token: string): Promise<void>;
  /** Sends a call and waits for it. @throws when it reverts. */
  call(
    from: HDNodeWallet,
    abi: Interface,
    to: string,
    call: string,
    args: readonly unknown[],
    value?: bigint,
  ): Promise<TransactionReceipt>;
  mine(blocks: number): Promise<void>;
  /** Marks the chain as it is; what the function does takes back all that came after, as a reorg would. */
  mark(): Promise<() => Promise<void>>;
  stop(): Promise<void>;
}

export async function startLazaiChain(folder: string): Promise<LazaiChain> {
  const anvil: Anvil = await startAnvil({
    chainId: LAZAI_CHAIN_ID,
    markFile: join(folder, 'anvil.json'),
  });
  const provider = connectChain(anvil.url, LAZAI_CHAIN_ID);
  const account = async (): Promise<HDNodeWallet> => {
    const wallet = Wallet.createRandom(provider);
    await provider.send('anvil_setBalance', [wallet.address, RICH]);
    return wallet;
  };
  const mined = async (hash: string): Promise<TransactionReceipt> => {
    for (;;) {
      const receipt = await provider.getTransactionReceipt(hash);
      if (receipt?.status === 1) return receipt;
      if (receipt !== null) throw new Error(`transaction ${hash} reverted`);
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  };
  const admin = await account();
  const deploy = async (name: string, args: readonly unknown[]): Promise<string> => {
    const { abi, bytecode } = readArtifact(name);
    const request = await new ContractFactory(abi, bytecode).getDeployTransaction(...args);
    const { hash } = await admin.sendTransaction(request);
    return (await mined(hash)).contractAddress as string;
  };
  const registryKey = rsaKey();
  const dataAnchoringToken = await deploy('DataAnchoringToken', [admin.address]);
  const verifiedComputing = await deploy('VerifiedComputing', [admin.address]);
  const dataRegistry = await deploy('DataRegistry', [
    [admin.address, dataAnchoringToken, verifiedComputing, 'test', registryKey.pem],
  ]);
  const call: LazaiChain['call'] = async (from, abi, to, name, args, value = 0n) => {
    const data = abi.encodeFunctionData(name, [...args]);
    const sent = { to, data, value };
    // Twice the estimate: anvil may estimate on the state before the last block.
    const gasLimit = (await from.estimateGas(sent)) * 2n;
    const { hash } = await from.sendTransaction({ ...sent, gasLimit });
    return mined(hash);
  };
  const useToken = async (token: string): Promise<void> => {
    await call(admin, ADMIN, token, 'grantRole', [MINTER_ROLE, dataRegistry]);
    await call(admin, ADMIN, dataRegistry, 'updateToken', [token]);
  };
  await useToken(dataAnchoringToken);
  return {
    url: anvil.url,
    provider,
    addresses: { dataRegistry, verifiedComputing, dataAnchoringToken },
    idao: await createIdao(admin, mined),
    admin,
    registryKey,
    account,
    deploy,
    useToken,
    call,
    mine: async (blocks) => void (await provider.send('anvil_mine', [toQuantity(blocks)])),
    mark: async () => {
      const id: unknown = await provider.send('evm_snapshot', []);
      return async () => void (await provider.send('evm_revert', [id]));
    },
    stop: async () => {
      provider.destroy();
      await anvil.stop();
    },
  };
}

/** A node whose `send` is tampered with: all that signed transactions pass through. */
export function tampered(
  provider: JsonRpcProvider,
  send: (
    method: string,
    params: unknown[],
    pass: (method: string, params: unknown[]) => Promise<unknown>,
  ) => Promise<unknown>,
): JsonRpcProvider {
  const pass = (method: string, params: unknown[]): Promise<unknown> =>
    provider.send(method, params);
  return new Proxy(provider, {
    get: (real, name) => {
      if (name === 'send') {
        return (method: string, params: unknown[]) => send(method, params, pass);
      }
      const value: unknown = Reflect.get(real, name, real);
      return typeof value === 'function' ? value.bind(real) : value;
    },
  });
}

/** All of a stand-in's ABI that its admin uses. */
export const ADMIN = new ContractFactory(
  [
    ...readArtifact('DataAnchoringToken').abi,
    ...readArtifact('VerifiedComputing').abi,
    'function updatePublicKey(string newPublicKey)',
    'function updateToken(address newToken)',
    'function updateVerifiedComputing(address newAddress)',
    'function addFile(string url, string hash) returns (uint256)',
    'function addPermissionForFile(uint256 fileId, address account, string key)',
  ].filter((line, index, all) => all.indexOf(line) === index),
  '0x',
).interface;

const MINTER_ROLE = keccak256(Buffer.from('MINTER_ROLE'));

/** A clone of our own iDAO, as an operator has it. */
async function createIdao(
  owner: HDNodeWallet,
  mined: (hash: string) => Promise<TransactionReceipt>,
): Promise<string> {
  const { hash } = await owner.sendTransaction(
    await new IDAOFactory__factory().getDeployTransaction(),
  );
  const factoryAddress = (await mined(hash)).contractAddress as string;
  const factory = IDAOFactory__factory.connect(factoryAddress, owner);
  const params = {
    ownerAddress: owner.address,
    tokenAddress: ZeroAddress,
    verifiedComputingAddress: ZeroAddress,
    settlementAddress: ZeroAddress,
    name: 'test',
    description: '',
  };
  await mined((await factory.create(DEFAULT_IDAO_SALT, params)).hash);
  const idao = await factory.predict(owner.address, DEFAULT_IDAO_SALT);
  await IDAO__factory.connect(idao, owner).name();
  return idao;
}

export interface RsaKey {
  readonly privateKey: KeyObject;
  /** PKCS#1 PEM, as LazAI shows keys. */
  readonly pem: string;
}

/** A 2048-bit key (LazAI's 3072 take a second to make). */
export function rsaKey(): RsaKey {
  const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const pem = publicKey.export({ type: 'pkcs1', format: 'pem' }) as string;
  return { privateKey, pem };
}

/** What a holder of the key reads: PKCS#1 v1.5, block type 2 (RFC 8017, 7.2.2). */
export function unwrap(key: RsaKey, hex: string): string {
  const padding = constants.RSA_NO_PADDING;
  const block = privateDecrypt({ key: key.privateKey, padding }, Buffer.from(hex, 'hex'));
  if (block[0] !== 0 || block[1] !== 2) throw new Error('not PKCS#1 v1.5, block type 2');
  const end = block.indexOf(0, 2);
  if (end < 10) throw new Error('PKCS#1 v1.5 padding is too short');
  return block.subarray(end + 1).toString('ascii');
}

/** How a node serves a request. */
export type NodeMood =
  /** Closes the job, adds its proof, claims, answers as its real twin: 500 when there was nothing to claim. */
  | 'honest'
  /** Never answers, never proves. */
  | 'silent'
  /** Answers at once, proves nothing. */
  | 'idle'
  /** Closes the job and takes the fee, proves nothing. */
  | 'thief'
  /** Proves, and hangs up. */
  | 'hangs up';

export interface AskedFor {
  readonly job_id: number;
  readonly file_id: number;
  readonly file_url: string;
  readonly encryption_key: string;
}

const PROOF_DATA_TYPE = 'tuple(uint256,uint256,string,string)';

/** A node on LazAI's list: a key that signs proofs, an RSA key, and an HTTP server. */
export class ProvingNode {
  readonly wallet: HDNodeWallet;
  readonly rsa = rsaKey();
  readonly asked: AskedFor[] = [];
  /** HTTP statuses given. */
  readonly answers: number[] = [];
  mood: NodeMood = 'honest';
  score = 42n;
  /** Runs before the proof is added. */
  beforeProof: (file: { fileId: number; url: string }) => Promise<void> = async () => {};
  readonly #chain: LazaiChain;
  readonly #server: Server;
  /** One request after the other: a gateway that was killed may have left one, and both would take the same nonce. */
  #turn: Promise<void> = Promise.resolve();

  private constructor(chain: LazaiChain, wallet: HDNodeWallet) {
    this.#chain = chain;
    this.wallet = wallet;
    this.#server = createServer((request, response) => {
      this.#turn = this.#turn
        .then(() => this.#serve(request, response))
        .catch(() => this.#answer(response, 500));
    });
  }

  /** Starts the server and has the admin list the node. */
  static async start(chain: LazaiChain): Promise<ProvingNode> {
    const node = new ProvingNode(chain, await chain.account());
    await new Promise<void>((resolve) => node.#server.listen(0, '127.0.0.1', resolve));
    await node.list();
    return node;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  async list(pem = this.rsa.pem): Promise<void> {
    await this.#admin('addNode', [this.wallet.address, this.url, pem]);
  }

  async unlist(): Promise<void> {
    await this.#admin('removeNode', [this.wallet.address]);
  }

  /** Signs what is asked, whatever it says: as a node does, without chain id or address. */
  async sign(id: bigint, fileUrl: string, score = this.score, proofUrl = '') {
    const data = { id, score, fileUrl, proofUrl };
    const encoded = AbiCoder.defaultAbiCoder().encode(
      [PROOF_DATA_TYPE],
      [[id, score, fileUrl, proofUrl]],
    );
    return { signature: await this.wallet.signMessage(getBytes(keccak256(encoded))), data };
  }

  async addProof(fileId: bigint, proof: unknown, from = this.wallet): Promise<void> {
    const { dataRegistry } = this.#chain.addresses;
    await this.#chain.call(from, DATA_REGISTRY, dataRegistry, 'addProof', [fileId, proof]);
  }

  /** As it was when it was started. */
  forget(): void {
    this.asked.length = 0;
    this.answers.length = 0;
    this.mood = 'honest';
    this.score = 42n;
    this.beforeProof = async () => {};
    this.#server.closeAllConnections();
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    if (request.method !== 'POST' || request.url !== '/proof') {
      this.#answer(response, 404);
      return;
    }
    let body = '';
    for await (const chunk of request) body += chunk;
    const asked = JSON.parse(body) as AskedFor;
    this.asked.push(asked);
    if (this.mood === 'silent') return;
    if (this.mood === 'idle') {
      this.#answer(response, 200);
      return;
    }
    const { verifiedComputing } = this.#chain.addresses;
    const compute = (name: string, args: readonly unknown[]): Promise<unknown> =>
      this.#chain.call(this.wallet, VERIFIED_COMPUTING, verifiedComputing, name, args);
    await compute('completeJob', [asked.job_id]);
    if (this.mood !== 'thief') {
      await this.beforeProof({ fileId: asked.file_id, url: asked.file_url });
      const fileId = BigInt(asked.file_id);
      await this.addProof(fileId, await this.sign(fileId, asked.file_url));
    }
    if (this.mood === 'hangs up') {
      request.socket.destroy();
      return;
    }
    // Reverts when there was no fee: the answer is then 500 though the proof is there.
    await compute('claim', []);
    this.#answer(response, 200);
  }

  #answer(response: ServerResponse, status: number): void {
    this.answers.push(status);
    response.writeHead(status, { 'content-type': 'application/json' });
    response.end(JSON.stringify({ success: status === 200 }));
  }

  #admin(name: string, args: readonly unknown[]): Promise<TransactionReceipt> {
    const { admin, addresses, call } = this.#chain;
    return call(admin, ADMIN, addresses.verifiedComputing, name, args);
  }
}

/** The journal as the ledger keeps it, in a file of its own: each call answered later, each error as a rejection. */
export interface TestJournal extends LazaiJournal {
  readonly transactions: ForgeJournal;
  close(): void;
}

export function openTestJournal(file: string): TestJournal {
  const db = new Database(file);
  prepareLedger(db, dirname(file));
  const forge = forgeJournalOperations(db);
  const own = {
    transactions: later(forge) as ForgeJournal,
    close: () => void db.close(),
  };
  return { ...(later(lazaiJournalOperations(db, forge)) as LazaiJournal), ...own };
}

function later(operations: object): object {
  return Object.fromEntries(
    Object.entries(operations as Record<string, (...args: unknown[]) => unknown>).map(
      ([name, operation]) => [name, async (...args: unknown[]) => operation(...args)],
    ),
  );
}
