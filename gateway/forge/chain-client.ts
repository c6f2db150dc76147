import {
  FetchRequest,
  Interface,
  isError,
  type JsonRpcError,
  type JsonRpcPayload,
  JsonRpcProvider,
  type JsonRpcResult,
} from 'ethers';
import {
  Challenges__factory,
  DAT__factory,
  DatasetForge__factory,
  DeviceRegistry__factory,
  IDAO__factory,
  IDAOFactory__factory,
  SignatureJudge__factory,
} from '../contracts/types/index.js';
import { WaystoneError } from '../core/errors.js';

/** How long a node may take for one answer. The library's default of 300 s would hold everything up. */
export const RPC_TIMEOUT_MS = 10_000;

/** How often a question is asked while new blocks overtake it; each time is a matter of one call. */
const OVERTAKEN_TRIES = 10;

/** Tip that any chain of ours takes, in wei. */
const TIP_WEI = 1_000_000_000n;

/**
 * A connection to one node, without the library's surprises: it knows its chain id (an unknown one makes every
 * call hang while the node is down), gives up in time, keeps nothing in a cache (a nonce 250 ms old is wrong),
 * never repeats a throttled call by itself, and asks a node without history again when a block overtook the question.
 */
export function connectChain(url: string, chainId: number): JsonRpcProvider {
  const request = new FetchRequest(url);
  request.timeout = RPC_TIMEOUT_MS;
  request.setThrottleParams({ maxAttempts: 1 });
  return new ChainConnection(request, chainId, {
    staticNetwork: true,
    cacheTimeout: -1,
    // One bad answer must not be shared by other calls.
    batchMaxCount: 1,
  });
}

class ChainConnection extends JsonRpcProvider {
  override async _send(payload: JsonRpcPayload | JsonRpcPayload[]): Promise<JsonRpcResult[]> {
    for (let tries = 1; ; tries += 1) {
      const answers = await super._send(payload);
      if (tries === OVERTAKEN_TRIES || !answers.some(isOvertaken)) return answers;
    }
  }
}

/**
 * Whether anvil (of `--prune-history`) took "latest" for a block number, mined another block, and then missed the
 * first one's state. The library would tell it as a contract's refusal.
 */
function isOvertaken(answer: JsonRpcResult | JsonRpcError): boolean {
  return 'error' in answer && answer.error.message?.startsWith('BlockOutOfRange') === true;
}

/**
 * Asks the node itself which chain it is on.
 *
 * @throws WaystoneError CHAIN_WRONG when it is another one; the node's error when it does not answer.
 */
export async function checkChainId(provider: JsonRpcProvider, chainId: number): Promise<void> {
  const got = Number(await provider.send('eth_chainId', []));
  if (got !== chainId) {
    throw new WaystoneError(
      'CHAIN_WRONG',
      `the node is on chain ${got}, this gateway forges on chain ${chainId}; check the network and its URL`,
    );
  }
}

export async function hasCode(provider: JsonRpcProvider, address: string): Promise<boolean> {
  return (await provider.getCode(address)) !== '0x';
}

/** EIP-1559 fees: twice the base fee outlasts six full blocks. */
export async function readFees(
  provider: JsonRpcProvider,
): Promise<{ maxFeePerGas: bigint; maxPriorityFeePerGas: bigint }> {
  const block = await provider.getBlock('latest');
  const baseFee = block?.baseFeePerGas ?? 0n;
  return { maxFeePerGas: baseFee * 2n + TIP_WEI, maxPriorityFeePerGas: TIP_WEI };
}

/** The contract's own error behind a refused call. */
export interface Revert {
  /** Name of the custom error, or what the node said. */
  readonly name: string;
  readonly args: readonly unknown[];
}

/** All custom errors of our contracts: a call may fail in a contract behind the one called. */
const ERRORS = new Interface(
  [
    DAT__factory,
    DatasetForge__factory,
    DeviceRegistry__factory,
    IDAO__factory,
    IDAOFactory__factory,
    Challenges__factory,
    SignatureJudge__factory,
  ]
    .flatMap((factory) => [...factory.createInterface().fragments])
    .filter((fragment) => fragment.type === 'error')
    .filter(
      // The same error in two contracts is one error.
      (fragment, index, all) =>
        all.findIndex((other) => other.format() === fragment.format()) === index,
    ),
);

/** Reads why a contract refused a call; null when the error is not a contract's refusal. */
export function readRevert(error: unknown): Revert | null {
  if (!isError(error, 'CALL_EXCEPTION')) return null;
  const data = error.data;
  const parsed = typeof data === 'string' && data.length >= 10 ? ERRORS.parseError(data) : null;
  if (parsed === null) return { name: error.shortMessage, args: [] };
  return { name: parsed.name, args: [...parsed.args] };
}

/** A refusal in words: `TimeInFuture(1, 2)`. */
export function describeRevert(revert: Revert): string {
  return revert.args.length === 0 ? revert.name : `${revert.name}(${revert.args.join(', ')})`;
}
