import { keyTypeFromNumber, type PublicKey, toHex } from '@waystone/proto';
import { messageOf } from '../core/errors.js';
import type { ChallengeClient, CommittedDataset } from '../forge/challenge-client.js';
import { readEntryFields } from './entry-fields.js';
import { type DeviceFacts, EntrySearch } from './entry-search.js';
import { type Evidence, openEvidence, readCheckpoint, readReceipt } from './evidence.js';
import { FAULT_NUMBERS, type Finding, Findings, judgedKey, Notes } from './findings.js';
import { ReceiptSearch, searchForks } from './gateway-search.js';
import { type RangedDataset, RangeSearch } from './range-search.js';

/** Keys looked up at the node at a time. */
const LOOKUPS_AT_ONCE = 16;

export interface SearchInput {
  /** Dataset folders, or entries files alone. */
  readonly paths: readonly string[];
  /** Files with a receipt each, as it came over MQTT or in hex. */
  readonly receipts: readonly string[];
  /** `checkpoint` files of other folders. */
  readonly checkpoints: readonly string[];
}

/** A dataset that was searched. */
export interface SearchedDataset {
  readonly path: string;
  readonly root: string;
  readonly entries: number;
  readonly dataset: CommittedDataset | null;
  /** Why the entries could not be held against what was committed, or null. */
  readonly mismatch: string | null;
}

/** A finding, tried on the node. */
export interface TriedFinding extends Finding {
  /** Why the contract would refuse it, or null when it would uphold it now. */
  readonly refusal: string | null;
}

export interface SearchResult {
  readonly datasets: readonly SearchedDataset[];
  readonly findings: readonly TriedFinding[];
  /** How many there are of each fault; of many the first are among the findings. */
  readonly counts: Findings['counts'];
  /** What is wrong and no contract judges. */
  readonly notes: readonly string[];
}

/**
 * Finds every fault of datasets that a contract would uphold, and tries each on the node. It trusts neither folder nor
 * gateway: entries are held against the root on chain, keys against their ids, and the contract has the last word.
 *
 * @param use is given the result while the files are open, for calls made later need them.
 * @throws WaystoneError PATH_UNREADABLE, and what the chain's node says.
 */
export async function searchFaults<T>(
  input: SearchInput,
  client: ChallengeClient,
  use: (result: SearchResult) => Promise<T>,
): Promise<T> {
  const opened: Evidence[] = [];
  try {
    for (const path of input.paths) opened.push(await openEvidence(path, client));
    return await use(await search(input, opened, client));
  } finally {
    for (const { entries } of opened) await entries.close();
  }
}

async function search(
  input: SearchInput,
  opened: readonly Evidence[],
  client: ChallengeClient,
): Promise<SearchResult> {
  const findings = new Findings();
  const notes = new Notes();
  const given = [];
  for (const path of input.receipts) given.push({ path, receipt: await readReceipt(path) });
  const receipts = new ReceiptSearch(given, notes);
  const checkpoints = [];
  for (const path of input.checkpoints) {
    checkpoints.push({ path, signed: await readCheckpoint(path) });
  }

  const ranges = new RangeSearch();
  const searched = new Map<string, CommittedDataset>();
  for (const evidence of opened) {
    const { dataset, mismatch } = evidence;
    if (dataset === null) continue;
    // A fork is shown without any entry.
    const isFirst = !searched.has(dataset.key);
    searched.set(dataset.key, dataset);
    if (mismatch !== null || !isFirst) continue;
    await searchEntries({ evidence, dataset, client, receipts, ranges }, findings, notes);
  }
  await ranges.search(findings);
  receipts.finish(notes);
  const places = opened.flatMap(({ place }) => (place === null ? [] : [place]));
  searchForks([...searched.values()], places, checkpoints, findings, notes);

  const tried: TriedFinding[] = [];
  for (const finding of findings.all) {
    tried.push({ ...finding, refusal: await client.refusal(await finding.call()) });
  }
  return {
    datasets: opened.map(({ path, root, entries, dataset, mismatch }) => ({
      ...{ path, root, entries: entries.count, dataset, mismatch },
    })),
    findings: tried,
    counts: findings.counts,
    notes: notes.lines,
  };
}

async function searchEntries(
  {
    evidence,
    dataset,
    client,
    receipts,
    ranges,
  }: {
    evidence: Evidence;
    dataset: CommittedDataset;
    client: ChallengeClient;
    receipts: ReceiptSearch;
    ranges: RangeSearch;
  },
  findings: Findings,
  notes: Notes,
): Promise<void> {
  const { entries, keys } = evidence;
  const ids = new Set<string>();
  await entries.read((bytes) => {
    const fields = readEntryFields(bytes);
    if (fields !== null) ids.add(toHex(fields.device));
  });
  const devices = new Map<string, DeviceFacts>();
  const wanted = [...ids];
  for (let from = 0; from < wanted.length; from += LOOKUPS_AT_ONCE) {
    const part = wanted.slice(from, from + LOOKUPS_AT_ONCE);
    const { idao } = dataset.record;
    const facts = await Promise.all(part.map((id) => lookUp(client, idao, keys, id)));
    for (const [k, id] of part.entries()) devices.set(id, facts[k] as DeviceFacts);
  }
  const gatewayKey = await keyOf(client, keys, dataset.record.gateway.slice(2));
  const gateway = gatewayKey === null ? null : judgedKey(gatewayKey);

  const { chainId } = client;
  const single = new EntrySearch({ chainId, dataset, entries, devices }, findings, notes);
  const ranged: RangedDataset = {
    ...{ dataset, entries },
    keyOf: (device) => devices.get(device)?.key ?? null,
  };
  await entries.read((bytes, index) => {
    const judged = single.judge(bytes, index);
    if (judged === null) return;
    ranges.add(ranged, judged.fields, index, judged.isSigned);
    receipts.judge({ dataset, entries, gateway }, judged.fields, bytes, index, findings);
  });
}

async function lookUp(
  client: ChallengeClient,
  idao: string,
  keys: ReadonlyMap<string, PublicKey>,
  id: string,
): Promise<DeviceFacts> {
  const [registered, key] = await Promise.all([
    client.registered(idao, id),
    keyOf(client, keys, id),
  ]);
  return { registered, key };
}

/** A key by its id: as the folder lists it, else as the registry's log has it. */
async function keyOf(
  client: ChallengeClient,
  keys: ReadonlyMap<string, PublicKey>,
  id: string,
): Promise<PublicKey | null> {
  const listed = keys.get(id);
  if (listed !== undefined) return listed;
  const found = await client.publicKey(id);
  const type = found === null ? null : keyTypeFromNumber(found.keyType);
  if (found === null || type === null) return null;
  return { type, bytes: new Uint8Array(Buffer.from(found.publicKey.slice(2), 'hex')) };
}

/** What became of one challenge. */
export interface FiledChallenge {
  readonly fault: Finding['fault'];
  readonly key: string | null;
  readonly detail: string;
  /** Null when it was refused. */
  readonly transaction: string | null;
  readonly gas: number;
  readonly refusal: string | null;
}

/**
 * Files one challenge for each fault of each dataset, since each is paid once.
 *
 * @param withDevices also reports devices that signed two stories: an event on chain, which nobody pays for.
 */
export async function fileFindings(
  { findings }: SearchResult,
  client: ChallengeClient,
  withDevices: boolean,
): Promise<FiledChallenge[]> {
  const filed: FiledChallenge[] = [];
  const done = new Set<string>();
  for (const finding of findings) {
    const { fault, key, detail } = finding;
    const name = `${key ?? detail} ${FAULT_NUMBERS[fault]}`;
    if (finding.refusal !== null || done.has(name) || (key === null && !withDevices)) continue;
    try {
      const { transaction, gas } = await client.file(await finding.call());
      done.add(name);
      filed.push({ fault, key, detail, transaction, gas, refusal: null });
    } catch (error) {
      // An earlier one may have made the other dataset void, and someone else may have been faster.
      if (!isRefusal(error)) throw error;
      filed.push({ fault, key, detail, transaction: null, gas: 0, refusal: messageOf(error) });
    }
  }
  return filed;
}

function isRefusal(error: unknown): boolean {
  const code = (error as { code?: unknown }).code;
  return (
    typeof code === 'string' && (code.startsWith('CHALLENGE_') || code === 'CHAIN_CALL_REFUSED')
  );
}
