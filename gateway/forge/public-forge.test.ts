import { chmodSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { encryptKeystoreJson } from 'ethers';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { IDAO__factory, IDAOFactory__factory } from '../contracts/types/index.js';
import type { ChainConfig, Config } from '../core/config.js';
import type { ForgeJournal } from '../core/forge-ports.js';
import type { ForgeStage } from '../core/forge-stage.js';
import type { LazaiJournal } from '../core/lazai-ports.js';
import { DEFAULT_IDAO_SALT } from './addresses.js';
import { ChainProvider } from './chain-provider.js';
import { jsonRpc } from './json-rpc.js';
import { LOCAL_CHAIN_ID, LocalChain } from './local-chain.js';
import { PUBLIC_NETWORKS } from './networks.js';
import { openForge } from './open-forge.js';
import { publicPreflight } from './open-public-forge.js';
import { publicChain } from './public-chain.js';
import { MemoryDatasets, MemoryLog, someKey, temporaryFolder } from './testing.js';

const NOBODY = `0x${'12'.repeat(20)}`;
const PASSWORD = 'a password';

const { folder, remove } = temporaryFolder();
let chain: LocalChain;
let stage: ForgeStage | null = null;

/** Settings of a public network whose node is the local chain. */
function settings(changes: Partial<ChainConfig> = {}): ChainConfig & { network: 'lazai-testnet' } {
  const { contracts, idao } = chain.keys;
  return {
    target: 'waystone',
    rpcUrls: [chain.url],
    chainId: LOCAL_CHAIN_ID,
    genesisHash: '',
    factoryAddress: contracts.factory,
    registryAddress: contracts.registry,
    datAddress: contracts.dat,
    datasetForgeAddress: contracts.datasetForge,
    idaoAddress: idao,
    keystoreFile: join(folder, 'operator.json'),
    passwordFile: join(folder, 'password'),
    confirmations: 0,
    fees: 'auto',
    feeMaxGwei: 100,
    bumpAfterSeconds: 60,
    bundleDatasetsMax: 16,
    bundleGasMax: 8_000_000,
    ...changes,
    network: 'lazai-testnet',
  };
}

const PUBLIC_URL = 'https://gateway.example';

const config = (changes: Partial<ChainConfig> = {}, publicUrl = PUBLIC_URL): Config =>
  ({
    chain: settings(changes),
    http: { host: '127.0.0.1', port: 0, publicUrl },
    idao: { name: 'test', description: '' },
    dat: { quotaCalls: 1, shareWeight: 1, expiresAfterDays: 0, policyUrl: '' },
  }) as Config;

function put(name: string, text: string): void {
  writeFileSync(join(folder, name), text);
  chmodSync(join(folder, name), 0o600);
}

beforeAll(async () => {
  chain = new LocalChain({ folder: join(folder, 'chain') }, { log: new MemoryLog() });
  await chain.start();
  const { address, privateKey } = chain.keys.operator;
  put(
    'operator.json',
    await encryptKeystoreJson({ address, privateKey }, PASSWORD, { scrypt: { N: 1_024 } }),
  );
  put('password', PASSWORD);
});

afterEach(async () => {
  await stage?.stop();
  stage = null;
});

afterAll(async () => {
  await chain.stop();
  remove();
});

const codes = async (changes: Partial<ChainConfig> = {}, level?: string): Promise<string[]> =>
  (await publicPreflight(config(changes)))
    .filter((finding) => level === undefined || finding.level === level)
    .map(({ code }) => code);

/** The owner creates the iDAO and appoints the operator, as with a wallet. */
async function ownerActs(what: 'create' | 'appoint'): Promise<void> {
  const { owner, contracts, idao, operator } = chain.keys;
  const provider = new ChainProvider([chain.url], LOCAL_CHAIN_ID);
  const signer = owner.connect(provider);
  const none = `0x${'00'.repeat(20)}`;
  const sent =
    what === 'create'
      ? await IDAOFactory__factory.connect(contracts.factory, signer).create(DEFAULT_IDAO_SALT, {
          ...{ ownerAddress: owner.address, tokenAddress: none },
          ...{ verifiedComputingAddress: none, settlementAddress: none },
          ...{ name: 'test', description: '' },
        })
      : await IDAO__factory.connect(idao, signer).setOperator(operator.address, true);
  await sent.wait(1, 5_000);
  provider.destroy();
}

it('knows each public network by name, and every value can be set otherwise', () => {
  for (const [network, known] of Object.entries(PUBLIC_NETWORKS)) {
    const made = publicChain({
      ...settings({ rpcUrls: [], chainId: 0 }),
      network: network as 'metis',
    });
    const { rpcUrls: urls, ...others } = known;
    expect(made).toMatchObject({ ...others, urls, missing: [] });
    expect(made.urls.every((url) => new URL(url).protocol === 'https:')).toBe(true);
  }
  expect(publicChain(settings({ confirmations: 9, feeMaxGwei: 3 }))).toMatchObject({
    ...{ chainId: LOCAL_CHAIN_ID, confirmations: 9, urls: [chain.url] },
    fees: { kind: 'auto', ceilingWei: 3_000_000_000n },
  });
});

it('refuses an address with a wrong checksum, which may be a wrong digit', () => {
  const wrong = chain.keys.idao.replace(/[a-f]/, (letter) => letter.toUpperCase());
  const lower = chain.keys.idao.toLowerCase();
  expect(publicChain(settings({ idaoAddress: lower })).idao).toBe(chain.keys.idao);
  if (wrong !== chain.keys.idao) {
    expect(() => publicChain(settings({ idaoAddress: wrong }))).toThrow(
      expect.objectContaining({ code: 'CONFIG_INVALID' }),
    );
  }
});

// In this order: each puts one thing right.
describe('the preflight names what is in the way', () => {
  it.each([
    ['addresses', 'FORGE_NO_ADDRESSES', { datAddress: '', idaoAddress: '' }],
    ['the key', 'CHAIN_KEYSTORE_MISSING', { keystoreFile: '/nowhere' }],
    ['another chain', 'CHAIN_WRONG', { chainId: 1_088 }],
    ['another block 0', 'CHAIN_GENESIS_DIFFERS', { genesisHash: `0x${'0b'.repeat(32)}` }],
    ['no node', 'CHAIN_UNREACHABLE', { rpcUrls: ['http://127.0.0.1:1'] }],
    ['a contract', 'CHAIN_CONTRACT_MISSING', { datAddress: NOBODY }],
  ] as const)('%s', async (_what, code, changes) => {
    expect(await codes(changes, 'stop')).toContain(code);
  });

  it.each([
    ['', 'stop', 'PUBLISH_URL_MISSING'],
    ['http://127.0.0.1:8484', 'stop', 'PUBLISH_URL_LOCAL'],
    ['http://localhost', 'stop', 'PUBLISH_URL_LOCAL'],
    ['http://[::1]:80', 'stop', 'PUBLISH_URL_LOCAL'],
    ['http://192.168.1.7', 'warn', 'PUBLISH_URL_PRIVATE'],
    ['http://[fd00::7]', 'warn', 'PUBLISH_URL_PRIVATE'],
    ['http://box.local/fleet', 'warn', 'PUBLISH_URL_PRIVATE'],
    ['https://203.0.113.7', 'ok', 'PUBLISH_URL'],
    ['https://gateway.example/fleet', 'ok', 'PUBLISH_URL'],
  ])('where entries are published: %j', async (publicUrl, level, code) => {
    const findings = await publicPreflight(config({}, publicUrl));
    expect(findings).toContainEqual(expect.objectContaining({ level, code }));
  });

  it('the iDAO, then the operator’s right, then nothing', async () => {
    expect(await codes({}, 'stop')).toEqual(['FORGE_NO_IDAO']);
    await ownerActs('create');
    expect(await codes({}, 'stop')).toEqual(['FORGE_NOT_OPERATOR']);
    await ownerActs('appoint');
    expect(await codes({}, 'stop')).toEqual([]);
    expect(await codes({}, 'ok')).toEqual(
      expect.arrayContaining([
        ...['NODE_SOUND', 'CONTRACTS_SOUND', 'OPERATOR_APPOINTED', 'FEES_KNOWN', 'FUNDS_ENOUGH'],
        ...['SHA256_THERE', 'P256_THERE', 'PUSH0_THERE', 'MCOPY_THERE'],
      ]),
    );
  });

  it('contracts of another deployment', async () => {
    const { registry } = chain.keys.contracts;
    expect(await codes({ datAddress: registry }, 'stop')).toContain('CHAIN_CONTRACT_OTHER');
  });

  it('contracts of an earlier release, by what they lack', async () => {
    const { registry, dat, factory } = chain.keys.contracts;
    const mark = await jsonRpc(chain.url, 'evm_snapshot');
    const other = await jsonRpc(chain.url, 'eth_getCode', [factory, 'latest']);
    for (const address of [registry, dat]) {
      await jsonRpc(chain.url, 'anvil_setCode', [address, other]);
    }
    const lacking = (await publicPreflight(config()))
      .filter(({ code }) => code === 'CHAIN_CONTRACT_OTHER')
      .map(({ facts }) => facts.view);
    expect(lacking).toEqual(
      expect.arrayContaining(['registry.recordOf(…)', 'dat.metadataBaseOf(…)']),
    );
    await jsonRpc(chain.url, 'evm_revert', [mark]);
  });

  it('a node among others that is not to be asked', async () => {
    const rpcUrls = [chain.url, 'http://127.0.0.1:1'];
    expect(await codes({ rpcUrls }, 'warn')).toEqual(['NODE_SET_ASIDE', 'METADATA_BASE_MISSING']);
  });

  it('coin, and a price above the ceiling', async () => {
    const { address } = chain.keys.operator;
    const set = (wei: bigint) =>
      jsonRpc(chain.url, 'anvil_setBalance', [address, `0x${wei.toString(16)}`]);
    await set(1n);
    expect(await codes({}, 'stop')).toEqual(['FORGE_NO_FUNDS']);
    await set(10n ** 16n);
    expect(await codes({}, 'warn')).toEqual(['METADATA_BASE_MISSING', 'FUNDS_LOW']);
    await set(10n ** 20n);
    await jsonRpc(chain.url, 'anvil_setNextBlockBaseFeePerGas', ['0x174876e800']);
    await jsonRpc(chain.url, 'anvil_mine', ['0x1']);
    expect(await codes({ feeMaxGwei: 1 }, 'warn')).toEqual([
      'METADATA_BASE_MISSING',
      'FEE_ABOVE_CEILING',
    ]);
  });
});

it('tells a week before that the rights of its key end, and that they have', async () => {
  const provider = new ChainProvider([chain.url], LOCAL_CHAIN_ID);
  const { owner, operator, idao } = chain.keys;
  const contract = IDAO__factory.connect(idao, owner.connect(provider));
  const now = (await provider.getBlock('latest'))?.timestamp ?? 0;
  for (const [days, expected] of [
    [8, []],
    [6, ['FORGE_OPERATOR_EXPIRES']],
  ] as const) {
    const sent = await contract.limitOperator(operator.address, now + days * 86_400, 0);
    await sent.wait(1, 5_000);
    const warnings = await codes({}, 'warn');
    expect(warnings.filter((code) => code.startsWith('FORGE_OPERATOR'))).toEqual(expected);
  }
  const mark = await jsonRpc(chain.url, 'evm_snapshot');
  await jsonRpc(chain.url, 'evm_increaseTime', [7 * 86_400]);
  await jsonRpc(chain.url, 'evm_mine');
  expect(await codes({}, 'stop')).toEqual(['FORGE_NOT_OPERATOR']);
  await jsonRpc(chain.url, 'evm_revert', [mark]);
  await (await contract.setOperator(operator.address, true)).wait(1, 5_000);
  provider.destroy();
});

describe('the stage of a public network', () => {
  async function open(changes: Partial<ChainConfig>): Promise<ForgeStage> {
    const { deviceId, publicKey } = someKey('gateway');
    stage = await openForge(config(changes), {
      logger: new MemoryLog(),
      gateway: { id: deviceId, publicKey, sign: () => new Uint8Array(64) },
      isPaused: () => false,
      // Nothing here gets as far as the journal.
      journal: () => ({}) as ForgeJournal & LazaiJournal,
      datasets: new MemoryDatasets(),
    });
    return stage;
  }

  it('waits for its addresses, and says which', async () => {
    const opened = await open({ registryAddress: '', idaoAddress: '' });
    opened.start();
    expect(opened.status()).toMatchObject({
      state: 'waiting',
      why: expect.stringContaining('chain.registryAddress, chain.idaoAddress'),
      lastError: { code: 'FORGE_NO_ADDRESSES' },
    });
    expect(opened).toMatchObject({ network: 'lazai-testnet', idao: '', chainId: LOCAL_CHAIN_ID });
  });

  it('waits for its key, and says what is wrong with it', async () => {
    put('wrong', 'not the password');
    const opened = await open({ passwordFile: join(folder, 'wrong') });
    opened.start();
    while (opened.status().lastError === null) await new Promise((r) => setTimeout(r, 10));
    expect(opened.status().lastError?.code).toBe('CHAIN_PASSWORD_WRONG');
    expect(opened.status().why).not.toContain('not the password');
  });

  it('shows no key that is in a URL', async () => {
    const opened = await open({ rpcUrls: ['https://node.example/v3/s3cret?k=s3cret'] });
    expect(opened.rpcUrl).toBe('https://node.example');
  });
});
