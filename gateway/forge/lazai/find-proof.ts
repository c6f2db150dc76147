import type { Log } from 'ethers';
import { LazaiWait } from './faults.js';
import { DATA_REGISTRY, NODE_STATUS } from './lazai-abi.js';
import type { LazaiFile } from './lazai-contracts.js';
import type { Look } from './look.js';
import { proofSigner } from './proof.js';

/** New proofs of a file judged in one look: anyone may add proofs to any file. */
const PROOFS_PER_LOOK = 64;

/** What is on chain for a file: the index of a proof that the contract will take, or why what is there is no use. */
export type FoundProof =
  | { readonly index: bigint; readonly trouble: null }
  | { readonly index: null; readonly trouble: LazaiWait | null };

type Verdict = bigint | 'junk' | LazaiWait;

/**
 * Looks for the first proof of the file that the contract will take. Any index may be junk: the contract checks a proof
 * only when it is redeemed, and never that it is for this file.
 */
export async function findProof(look: Look, file: LazaiFile): Promise<FoundProof> {
  const events = await look.logs(look.contracts.proofAdded(file.fileId));
  const junk = look.tools.junk.get(look.key) ?? new Set();
  look.tools.junk.set(look.key, junk);
  let trouble: LazaiWait | null = null;
  let judged = 0;
  for (const event of events) {
    // A reorg may give an index to another proof, which then has another event.
    const id = `${event.blockHash}:${event.index}`;
    if (junk.has(id)) continue;
    if (judged++ === PROOFS_PER_LOOK) {
      throw new LazaiWait(
        'LAZAI_READING_LOG',
        `file ${file.fileId} has ${events.length} proofs, most of them junk; goes on by itself`,
      );
    }
    const verdict = await judge(look, file, event);
    if (typeof verdict === 'bigint') return { index: verdict, trouble: null };
    if (verdict === 'junk') junk.add(id);
    else trouble ??= verdict;
  }
  return { index: null, trouble };
}

async function judge(look: Look, file: LazaiFile, event: Log): Promise<Verdict> {
  const { contracts } = look;
  const index = DATA_REGISTRY.parseLog(event)?.args.proofIndex as bigint;
  const proof = await contracts.proof(file.fileId, index);
  if (proof.data.id !== file.fileId || proof.data.fileUrl !== file.url) return 'junk';
  const signer = proofSigner(proof);
  if (signer === null) return 'junk';
  if (!(await contracts.isNode(signer))) {
    if ((await contracts.node(signer)).status !== NODE_STATUS.removed) return 'junk';
    return new LazaiWait(
      'LAZAI_NODE_REMOVED',
      `node ${signer} proved file ${file.fileId} and was then taken off LazAI's list, so the proof counts no more. ` +
        'It counts again if LazAI lists the node again; a proof of any other listed node does too',
    );
  }
  if (proof.data.score > 0n) return index;
  return new LazaiWait(
    'LAZAI_SCORE_ZERO',
    `node ${signer} gave file ${file.fileId} the score 0: its token would have an amount of 0, and could be minted again and again. ` +
      'Waits for another proof',
  );
}
