import { wrapContentKey } from './content-key.js';
import { LazaiWait } from './faults.js';
import { findProof } from './find-proof.js';
import { JOB_STATUS, NODE_STATUS } from './lazai-abi.js';
import { isSameAddress, type LazaiFile, type LazaiJob, type LazaiNode } from './lazai-contracts.js';
import type { Look } from './look.js';
import { askNode } from './node-client.js';

/** Newest jobs of a file that are looked at: anyone may add jobs to any file. */
const JOBS_MAX = 64;

/** Before a silent node is asked again. */
const ASK_AGAIN_MS = 600_000;
const ASK_AGAIN_MAX_MS = 6 * 3_600_000;

const NODE_TIMEOUT_MS = 60_000;

const REMEDY =
  'No second fee is paid by itself. Any account may pay for another proof (requestProof), and this dataset takes it up';

/**
 * Pays for a proof, once, asks the assigned node for it, and looks whether it came.
 *
 * @param trouble why the proofs that are there are no use
 * @returns the index of a proof that the contract will take
 */
export async function obtainProof(
  look: Look,
  file: LazaiFile,
  trouble: LazaiWait | null,
): Promise<bigint> {
  const { contracts } = look;
  const { sender } = look.tools;
  let jobs = await contracts.jobs(file.fileId, JOBS_MAX);
  if (!jobs.some(({ owner }) => isSameAddress(owner, sender.account))) {
    await pay(look, file);
    jobs = await contracts.jobs(file.fileId, JOBS_MAX);
  }
  if (jobs.length === 0) {
    throw new LazaiWait('LAZAI_NOT_MINED', 'the node does not show the paid request yet');
  }
  await look.progress('requested');
  const own = jobs.filter(({ owner }) => isSameAddress(owner, sender.account));
  const others = jobs.filter((job) => !own.includes(job));
  const choice = await chooseJob(look, [...own, ...others]);
  if (choice === null) throw trouble ?? nobodyToAsk(own[0] ?? (others[0] as LazaiJob), file);
  return ask(look, file, choice.job, choice.node);
}

/** The one paid request. Its fee is set aside first, so that no crash can spend beyond the cap. */
async function pay(look: Look, file: LazaiFile): Promise<void> {
  const { contracts, key } = look;
  const { deps, sender, crash } = look.tools;
  const { feeMaxWei, spendMaxWei, chainId } = look.tools.options;
  const call = contracts.requestProof(file.fileId);
  const { feeWei } = await look.record();
  if ((await sender.live(key, 'request')) !== null) {
    // Signed before: whatever the fee is now, these bytes are the only payment.
    await look.submit('request', call, BigInt(feeWei));
    return;
  }
  await look.checkContracts();
  if ((await contracts.activeNodesCount()) === 0n) {
    throw new LazaiWait(
      'LAZAI_NO_ACTIVE_NODES',
      'LazAI lists no active node, so nobody could prove the file; nothing is paid until one is listed',
    );
  }
  const fee = await contracts.nodeFee();
  if (fee > feeMaxWei) {
    throw new LazaiWait(
      'LAZAI_FEE_ABOVE_CAP',
      `LazAI's fee is ${fee} wei a file, the cap is ${feeMaxWei} (lazai.feeMaxCoins); raise it or wait`,
    );
  }
  const others = (await deps.journal.lazaiReservedWei(chainId)) - BigInt(feeWei);
  if (others + fee > spendMaxWei) {
    throw new LazaiWait(
      'LAZAI_SPEND_CAP_REACHED',
      `${others} wei went to LazAI's nodes, one more fee of ${fee} would pass the cap of ${spendMaxWei} for all files (lazai.spendMaxCoins); raise it to go on`,
    );
  }
  await deps.journal.updateLazaiFile(key, { feeWei: String(fee) });
  crash('lazai:reserved');
  await look.submit('request', call, fee);
}

/** The first job whose node can still be asked; null when there is none. */
async function chooseJob(
  look: Look,
  jobs: readonly LazaiJob[],
): Promise<{ job: LazaiJob; node: LazaiNode } | null> {
  for (const job of jobs) {
    if (job.status !== JOB_STATUS.submitted) continue;
    const node = await look.contracts.node(job.node);
    if (node.status === NODE_STATUS.active) return { job, node };
  }
  return null;
}

function nobodyToAsk(job: LazaiJob, file: LazaiFile): LazaiWait {
  if (job.status === JOB_STATUS.submitted) {
    return new LazaiWait(
      'LAZAI_NODE_REMOVED',
      `node ${job.node}, paid to prove file ${file.fileId} (job ${job.jobId}), was taken off LazAI's list. ${REMEDY}`,
    );
  }
  return new LazaiWait(
    'LAZAI_PAID_WITHOUT_PROOF',
    `node ${job.node} closed job ${job.jobId} and took the fee without a proof of file ${file.fileId}. ${REMEDY}`,
  );
}

async function ask(
  look: Look,
  file: LazaiFile,
  { jobId }: LazaiJob,
  node: LazaiNode,
): Promise<bigint> {
  const { deps, options, crash } = look.tools;
  const { askAgainMs = ASK_AGAIN_MS, nodeTimeoutMs = NODE_TIMEOUT_MS } = options;
  const nowMs = deps.nowMs ?? Date.now;
  const whose = `node ${node.address}`;
  await look.checkKey(whose, node.publicKey);
  const { asks, askedAtMs, contentKey } = await look.record();
  const againMs = Math.min(askAgainMs * 2 ** Math.max(asks - 1, 0), ASK_AGAIN_MAX_MS);
  const leftMs = askedAtMs + againMs - nowMs();
  // More than the whole time is left only when the clock was set back: that must not silence us.
  if (asks > 0 && leftMs > 0 && leftMs <= againMs) {
    throw pending(whose, asks, `it is asked again in ${Math.ceil(leftMs / 1000)} s`);
  }
  // Noted first: a gateway that dies here again and again must not hammer the node.
  await deps.journal.updateLazaiFile(look.key, { asks: asks + 1, askedAtMs: nowMs() });
  crash('lazai:ask-noted');
  const encryptionKey = wrapContentKey(node.publicKey, contentKey, whose);
  const answer = await askNode(
    node.url,
    { jobId, fileId: file.fileId, fileUrl: file.url, encryptionKey },
    { timeoutMs: nodeTimeoutMs, signal: deps.signal },
  );
  crash('lazai:asked');
  const { index, trouble } = await findProof(look, file);
  if (index !== null) return index;
  throw trouble ?? pending(whose, asks + 1, answer);
}

function pending(whose: string, asks: number, what: string): LazaiWait {
  const times = asks === 1 ? 'once' : `${asks} times`;
  return new LazaiWait(
    'LAZAI_PROOF_PENDING',
    `${whose} is paid and was asked ${times}; no proof is on chain yet: ${what}`,
  );
}
