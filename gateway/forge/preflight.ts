import { createHash, generateKeyPairSync, randomBytes, sign } from 'node:crypto';
import { BlockList, isIP } from 'node:net';
import { type BaseWallet, formatEther, getAddress, isError, ZeroAddress, ZeroHash } from 'ethers';
import {
  DAT__factory,
  DatasetForge__factory,
  DeviceRegistry__factory,
  IDAO__factory,
  IDAOFactory__factory,
} from '../contracts/types/index.js';
import { messageOf, WaystoneError } from '../core/errors.js';
import { type ContractAddresses, idaoAddress } from './addresses.js';
import { hasCode } from './chain-client.js';
import type { ChainProvider } from './chain-provider.js';
import { type FeeRules, inGwei, readMarket } from './fees.js';

/**
 * One thing that was looked at. `stop`: nothing can be forged until it is put right · `warn`: it works, but someone
 * should know · `ok`: as it should be.
 */
export interface Finding {
  readonly level: 'ok' | 'warn' | 'stop';
  /** Stable. */
  readonly code: string;
  /** One sentence. */
  readonly what: string;
  readonly facts: Readonly<Record<string, string | number>>;
  /** What the operator can do; "" when there is nothing to do. */
  readonly todo: string;
}

export interface PreflightOptions {
  readonly chainId: number;
  readonly contracts: ContractAddresses;
  readonly idao: string;
  readonly operator: BaseWallet | { readonly address: string };
  readonly fees: FeeRules;
  readonly coin: string;
  /** Address under which entries files are published; "" for none. */
  readonly publicUrl: string;
}

/** Gas that a dataset of any size takes, commit to DAT. */
const GAS_PER_DATASET = 250_000n;

/** Below so many datasets' worth of gas, the balance is called low. */
const DATASETS_LOW = 100n;

/** An operator's end is told a week before. */
const EXPIRY_WARNING_SECONDS = 7 * 86_400;

/** PUSH0 PUSH0 RETURN, as init code: makes an empty contract where the opcode is known (EIP-3855, Shanghai). */
const PUSH0_PROBE = '0x5f5ff3';

/** Copies nothing with MCOPY, then returns (EIP-5656, Cancun). */
const MCOPY_PROBE = '0x6000600060005e60006000f3';

/** SHA-256 of nothing. */
const SHA256_EMPTY = '0xe3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855';

const PRECOMPILE_SHA256 = `0x${'2'.padStart(40, '0')}`;
/** P-256 verification (RIP-7212, EIP-7951). */
const PRECOMPILE_P256 = `0x${'100'.padStart(40, '0')}`;

/**
 * Looks at everything that must be right before a transaction is sent: each node's chain and block 0, the contracts and
 * what they answer, the operator's rights and coin, opcodes and precompiles. It sends nothing.
 *
 * @throws only when no node answers at all.
 */
export async function preflight(
  provider: ChainProvider,
  options: PreflightOptions,
): Promise<Finding[]> {
  const { findings, isReached } = await lookAround(provider, options.publicUrl);
  if (!isReached) return findings;
  const add: Add = (level, code, what, facts = {}, todo = '') =>
    void findings.push({ level, code, what, facts, todo });
  await contracts(provider, options, add);
  await rights(provider, options, add);
  if (firstObstacle(findings) === null) {
    await bond(provider, options, add);
    await metadata(provider, options, add);
  }
  await gas(provider, options, add);
  await machine(provider, add);
  return findings;
}

/** What no contract is asked for: the chain's nodes, and the address under which entries are published. */
export async function lookAround(
  provider: ChainProvider,
  publicUrl: string,
): Promise<{ findings: Finding[]; isReached: boolean }> {
  try {
    await provider.look();
  } catch (error) {
    if (!(error instanceof WaystoneError)) throw error;
    return {
      findings: [...nodes(provider), stopping(error.code, error.message)],
      isReached: false,
    };
  }
  const findings = nodes(provider);
  published(publicUrl, (level, code, what, facts = {}, todo = '') =>
    findings.push({ level, code, what, facts, todo }),
  );
  return { findings, isReached: true };
}

/** A finding that stands in the way. */
export function stopping(code: string, what: string): Finding {
  return { level: 'stop', code, what, facts: {}, todo: '' };
}

/** Whoever cannot fetch the entries may challenge them as withheld, and the bond answers for that. */
function published(url: string, add: Add): void {
  const todo = "set http.publicUrl to the address at which others reach this gateway's HTTP";
  if (url === '') {
    add('stop', 'PUBLISH_URL_MISSING', 'entries files have no address for others', {}, todo);
    return;
  }
  const { hostname } = new URL(url);
  const facts = { url };
  if (isOwn(hostname)) {
    const what = `${url} is this machine only, so nobody else can fetch entries files`;
    add('stop', 'PUBLISH_URL_LOCAL', what, facts, todo);
  } else if (isPrivate(hostname)) {
    const what = `${url} is an address of a private network: buyers outside of it cannot fetch entries files`;
    add('warn', 'PUBLISH_URL_PRIVATE', what, facts, todo);
  } else {
    add('ok', 'PUBLISH_URL', `entries files are published under ${url}`, facts);
  }
}

const OWN_ADDRESSES = new BlockList();
OWN_ADDRESSES.addSubnet('127.0.0.0', 8);
OWN_ADDRESSES.addAddress('0.0.0.0');
OWN_ADDRESSES.addAddress('::1', 'ipv6');
OWN_ADDRESSES.addAddress('::', 'ipv6');

/** RFC 1918, RFC 3927, RFC 6598 and their like of IPv6 (RFC 4193, RFC 4291). */
const PRIVATE_ADDRESSES = new BlockList();
PRIVATE_ADDRESSES.addSubnet('10.0.0.0', 8);
PRIVATE_ADDRESSES.addSubnet('172.16.0.0', 12);
PRIVATE_ADDRESSES.addSubnet('192.168.0.0', 16);
PRIVATE_ADDRESSES.addSubnet('169.254.0.0', 16);
PRIVATE_ADDRESSES.addSubnet('100.64.0.0', 10);
PRIVATE_ADDRESSES.addSubnet('fc00::', 7, 'ipv6');
PRIVATE_ADDRESSES.addSubnet('fe80::', 10, 'ipv6');

function isOwn(host: string): boolean {
  return host === 'localhost' || host.endsWith('.localhost') || isIn(OWN_ADDRESSES, host);
}

function isPrivate(host: string): boolean {
  return host.endsWith('.local') || isIn(PRIVATE_ADDRESSES, host);
}

function isIn(list: BlockList, host: string): boolean {
  const address = host.replace(/^\[|\]$/g, '');
  const version = isIP(address);
  return version !== 0 && list.check(address, version === 6 ? 'ipv6' : 'ipv4');
}

/** What stands in the way first, as an error; null when nothing does. */
export function firstObstacle(findings: readonly Finding[]): WaystoneError | null {
  const found = findings.find(({ level }) => level === 'stop');
  if (found === undefined) return null;
  return new WaystoneError(
    found.code,
    found.todo === '' ? found.what : `${found.what}; ${found.todo}`,
  );
}

type Add = (
  level: Finding['level'],
  code: string,
  what: string,
  facts?: Finding['facts'],
  todo?: string,
) => void;

function nodes(provider: ChainProvider): Finding[] {
  return provider.view().map(({ name, chainId, genesisHash, head, setAside }) => {
    const facts = {
      node: name,
      ...(chainId === null ? {} : { chainId }),
      ...(genesisHash === null ? {} : { genesisHash }),
      ...(head === null ? {} : { head: head.number }),
    };
    if (setAside !== '') {
      const what = `${setAside}`;
      const todo = 'it is not asked; correct or remove its URL in chain.rpcUrls if it stays so';
      return { level: 'warn', code: 'NODE_SET_ASIDE', what, facts, todo };
    }
    if (genesisHash === null) {
      const what = `${name} does not tell the chain's block 0, so chain id alone says which chain it is`;
      return {
        level: 'warn',
        code: 'NODE_GENESIS_UNKNOWN',
        what,
        facts,
        todo: 'add a node that keeps it',
      };
    }
    return {
      level: 'ok',
      code: 'NODE_SOUND',
      what: `${name} is at block ${head?.number}`,
      facts,
      todo: '',
    };
  });
}

async function contracts(
  provider: ChainProvider,
  { contracts: addresses, idao }: PreflightOptions,
  add: Add,
): Promise<void> {
  let isWhole = true;
  for (const [name, address] of Object.entries({ ...addresses, idao })) {
    if (await hasCode(provider, address)) continue;
    isWhole = false;
    const isIdao = name === 'idao';
    add(
      'stop',
      isIdao ? 'FORGE_NO_IDAO' : 'CHAIN_CONTRACT_MISSING',
      `there is no ${isIdao ? 'iDAO' : `contract ${name}`} at ${address}`,
      { name, address },
      isIdao
        ? 'its owner creates it at the factory, or chain.idaoAddress is corrected'
        : `check chain.network and chain.${name}Address`,
    );
  }
  if (!isWhole) return;
  const forge = DatasetForge__factory.connect(addresses.datasetForge, provider);
  const views: readonly (readonly [string, () => Promise<unknown>, unknown])[] = [
    ['datasetForge.dat()', () => forge.dat(), addresses.dat],
    ['datasetForge.registry()', () => forge.registry(), addresses.registry],
    [
      'dat.forge()',
      () => DAT__factory.connect(addresses.dat, provider).forge(),
      addresses.datasetForge,
    ],
    [
      'registry.isGatewayOf(…)',
      () =>
        DeviceRegistry__factory.connect(addresses.registry, provider).isGatewayOf(
          `0x${'00'.repeat(32)}`,
          idao,
        ),
      false,
    ],
    ['idao.version()', () => IDAO__factory.connect(idao, provider).version(), 1n],
    // Of contracts of before these are missing.
    [
      'idao.forgeRight(…)',
      async () => (await IDAO__factory.connect(idao, provider).forgeRight(ZeroAddress)).allowed,
      false,
    ],
    [
      'registry.recordOf(…)',
      async () => {
        const registry = DeviceRegistry__factory.connect(addresses.registry, provider);
        return (await registry.recordOf(idao, ZeroHash)).registeredAt;
      },
      0n,
    ],
    [
      'dat.metadataBaseOf(…)',
      async () => {
        const dat = DAT__factory.connect(addresses.dat, provider);
        return (await dat.metadataBaseOf(addresses.dat)).length;
      },
      0,
    ],
    [
      'factory.predict(…)',
      () =>
        IDAOFactory__factory.connect(addresses.factory, provider).predict(
          addresses.dat,
          `0x${'00'.repeat(32)}`,
        ),
      idaoAddress(addresses.factory, addresses.dat),
    ],
  ];
  let isRight = true;
  for (const [view, ask, expected] of views) {
    const got = await answerOf(ask);
    if (sameValue(got, expected)) continue;
    isRight = false;
    add(
      'stop',
      'CHAIN_CONTRACT_OTHER',
      `${view} answers ${String(got)}, not ${String(expected)}: these are not the contracts of this release, or not of one deployment`,
      { view, got: String(got), expected: String(expected) },
      'check the addresses under [chain]',
    );
  }
  if (!isRight) return;
  const windowSeconds = Number(await forge.windowSeconds());
  add(
    'ok',
    'CONTRACTS_SOUND',
    `the contracts answer as they should; their window is ${windowSeconds} s`,
    {
      windowSeconds,
    },
  );
}

async function rights(
  provider: ChainProvider,
  { idao, operator }: PreflightOptions,
  add: Add,
): Promise<void> {
  if (!(await hasCode(provider, idao))) return;
  const facts = { operator: operator.address, idao };
  const can = await answerOf(() =>
    IDAO__factory.connect(idao, provider).canForge(operator.address),
  );
  if (can === true) {
    add('ok', 'OPERATOR_APPOINTED', `${operator.address} may forge for the iDAO`, facts);
    await expiry(provider, { idao, operator: operator.address }, add);
  } else {
    add(
      'stop',
      'FORGE_NOT_OPERATOR',
      `${operator.address} is no operator of the iDAO ${idao}, or its time is over`,
      facts,
      'its owner appoints it with setOperator; forging goes on by itself',
    );
  }
}

/** An operator's rights may end by themselves. */
async function expiry(
  provider: ChainProvider,
  { idao, operator }: { idao: string; operator: string },
  add: Add,
): Promise<void> {
  const { until } = await IDAO__factory.connect(idao, provider).operatorOf(operator);
  const now = (await provider.getBlock('latest'))?.timestamp ?? 0;
  if (until === 0n || Number(until) - now > EXPIRY_WARNING_SECONDS) return;
  const end = new Date(Number(until) * 1_000).toISOString();
  add(
    'warn',
    'FORGE_OPERATOR_EXPIRES',
    `the rights of ${operator} end at ${end}`,
    { operator, until: Number(until) },
    `the iDAO's owner runs waystone idao operators add ${operator} --days 90`,
  );
}

/** DatasetForge takes no commit of an iDAO whose bond, without what is asked back of it, is below its minimum. */
async function bond(
  provider: ChainProvider,
  { contracts: { datasetForge }, idao, coin }: PreflightOptions,
  add: Add,
): Promise<void> {
  const forge = DatasetForge__factory.connect(datasetForge, provider);
  const minimum = await forge.minimumBond();
  const { amount, requested } = await forge.bondOf(idao);
  const bondWei = amount - requested;
  const facts = { idao, bondWei: String(bondWei), minimumWei: String(minimum) };
  const what = `the bond of the iDAO is ${formatEther(bondWei)} ${coin}`;
  if (bondWei >= minimum) add('ok', 'BOND_ENOUGH', what, facts);
  else {
    add(
      'stop',
      'FORGE_BOND_LOW',
      `${what}, and the contracts want ${formatEther(minimum)}`,
      facts,
      'anyone can deposit it with depositBond; forging goes on by itself',
    );
  }
}

/** Tokens say where their metadata is by one address of the iDAO, which only its owner sets. */
async function metadata(
  provider: ChainProvider,
  { contracts: { dat }, idao, publicUrl }: PreflightOptions,
  add: Add,
): Promise<void> {
  const base = await DAT__factory.connect(dat, provider).metadataBaseOf(idao);
  if (base !== '') {
    add('ok', 'METADATA_BASE', `tokens say that their metadata is below ${base}`, { base });
    return;
  }
  add(
    'warn',
    'METADATA_BASE_MISSING',
    'tokens do not say where their metadata is, so marketplaces show them bare',
    { expected: `${publicUrl}/metadata/` },
    "the iDAO's owner runs waystone idao metadata",
  );
}

async function gas(
  provider: ChainProvider,
  { operator, fees, coin }: PreflightOptions,
  add: Add,
): Promise<void> {
  const balanceWei = await provider.getBalance(operator.address);
  const market = await readMarket(provider, fees);
  const kind = market.type === 2 ? 'EIP-1559' : 'legacy';
  const priced = `gas costs ${inGwei(market.priceWei)} gwei (${kind} fees)`;
  const facts = { priceGwei: inGwei(market.priceWei), kind };
  if (fees.ceilingWei !== null && market.priceWei > fees.ceilingWei) {
    const todo = 'datasets wait until it is cheaper, or raise chain.feeMaxGwei';
    const ceiling = inGwei(fees.ceilingWei);
    add('warn', 'FEE_ABOVE_CEILING', `${priced}, above the ceiling of ${ceiling}`, facts, todo);
  } else add('ok', 'FEES_KNOWN', priced, facts);
  const balance = `${operator.address} has ${formatEther(balanceWei)} ${coin}`;
  const perDataset = GAS_PER_DATASET * (market.priceWei === 0n ? 1n : market.priceWei);
  const datasets = balanceWei / perDataset;
  const money = {
    account: operator.address,
    balanceWei: String(balanceWei),
    datasets: String(datasets),
  };
  if (datasets === 0n) {
    add(
      'stop',
      'FORGE_NO_FUNDS',
      `${balance}, too little for one dataset`,
      money,
      'send it some; forging goes on by itself',
    );
  } else if (datasets < DATASETS_LOW) {
    add(
      'warn',
      'FUNDS_LOW',
      `${balance}, enough for about ${datasets} datasets`,
      money,
      'send it some',
    );
  } else add('ok', 'FUNDS_ENOUGH', balance, money);
}

async function machine(provider: ChainProvider, add: Add): Promise<void> {
  const sha256 = await answerOf(() => provider.call({ to: PRECOMPILE_SHA256, data: '0x' }));
  if (sha256 === SHA256_EMPTY) add('ok', 'SHA256_THERE', 'the SHA-256 precompile answers');
  else {
    add(
      'stop',
      'CHAIN_PRECOMPILE_MISSING',
      `the SHA-256 precompile answers ${String(sha256)}; proofs cannot be checked on this chain`,
      { address: PRECOMPILE_SHA256 },
      'choose another chain',
    );
  }
  const p256 = await answerOf(() => provider.call({ to: PRECOMPILE_P256, data: p256Input() }));
  if (p256 === `0x${'1'.padStart(64, '0')}`)
    add('ok', 'P256_THERE', 'the P-256 precompile answers');
  else {
    add(
      'warn',
      'P256_MISSING',
      'the chain has no P-256 precompile: a signature of a secure element costs about 230,000 gas to check there, and forging is not touched',
    );
  }
  for (const [name, code, probe] of [
    ['PUSH0 (Shanghai)', 'PUSH0', PUSH0_PROBE],
    ['MCOPY (Cancun)', 'MCOPY', MCOPY_PROBE],
  ] as const) {
    const answer = await answerOf(() => provider.call({ data: probe }));
    const isThere = answer === '0x';
    // Our contracts are built for Paris and need neither.
    const what = isThere
      ? `${name} is there`
      : `${name} is not there; our contracts do not need it`;
    add('ok', isThere ? `${code}_THERE` : `${code}_MISSING`, what);
  }
}

/** A fresh signature of a fresh key, as the precompile takes it: hash, r, s, x, y. */
function p256Input(): string {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const message = randomBytes(32);
  const signature = sign('sha256', message, { key: privateKey, dsaEncoding: 'ieee-p1363' });
  const { x = '', y = '' } = publicKey.export({ format: 'jwk' });
  const hash = createHash('sha256').update(message).digest();
  const point = [x, y].map((part) => Buffer.from(part, 'base64url'));
  return `0x${Buffer.concat([hash, signature, ...point]).toString('hex')}`;
}

/** What a contract answers, or why it does not. @throws when the node gave no answer. */
async function answerOf(ask: () => Promise<unknown>): Promise<unknown> {
  try {
    return await ask();
  } catch (error) {
    if (error instanceof WaystoneError) throw error;
    if (isError(error, 'CALL_EXCEPTION')) return 'a refusal';
    if (isError(error, 'BAD_DATA')) return 'something else';
    return messageOf(error);
  }
}

function sameValue(got: unknown, expected: unknown): boolean {
  if (typeof got !== 'string' || typeof expected !== 'string') return got === expected;
  try {
    return getAddress(got) === getAddress(expected);
  } catch {
    return false;
  }
}
