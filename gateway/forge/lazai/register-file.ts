import type { LazaiRecord } from '../../core/lazai-ports.js';
import { wrapContentKey } from './content-key.js';
import { LazaiWait } from './faults.js';
import { fileUrl } from './file-url.js';
import { LazaiRefusal } from './lane-sender.js';
import { isSameAddress, type LazaiFile, type Permission } from './lazai-contracts.js';
import { type Look, logMissing } from './look.js';

/** Taken urls given up in one look: more is an attack, or a mistake of ours. */
const SQUATTED_MAX = 5;

/**
 * The dataset's file in LazAI's registry: registered if it is not, under a new url if the one in use was taken by
 * someone else.
 *
 * @returns the file, in a deep block
 */
export async function registerFile(look: Look): Promise<LazaiFile> {
  const { contracts, key } = look;
  for (let squatted = 0; squatted < SQUATTED_MAX; squatted++) {
    const record = await look.record();
    const { dataset, urlSecret, urlGeneration, idao } = record;
    const url = fileUrl(dataset.url, urlSecret, urlGeneration);
    const purpose = `register:${urlGeneration}`;
    const fileId = await ensureRegistered(look, record, url, purpose);
    const file = await contracts.file(fileId);
    if (isSameAddress(file.owner, idao) && file.hash === dataset.hash) {
      await requireDeepFile(look, file);
      await look.progress('registered');
      return file;
    }
    const own = await look.tools.sender.live(key, purpose);
    if (own !== null) {
      // It will fail, the url is taken; but while it could still be mined, there could be two files.
      throw new LazaiWait(
        'LAZAI_NOT_MINED',
        `someone else registered the dataset's url; transaction ${own.hash} (${purpose}) must fail before another url is taken`,
      );
    }
    // On disk before a transaction with the next url is: this one is never tried again.
    await look.tools.deps.journal.updateLazaiFile(key, { urlGeneration: urlGeneration + 1 });
    const { logId, index } = dataset;
    look.tools.deps.log.warn(
      { logId, index, fileId: String(fileId), owner: file.owner, url },
      'LazAI: someone else registered the url of this dataset; taking a new one',
    );
  }
  throw new LazaiWait(
    'LAZAI_URL_SQUATTED',
    `${SQUATTED_MAX} urls of this dataset were taken by others, one after the other: someone watches this gateway's transactions. ` +
      'Another url is tried at the next look',
  );
}

/** @returns the id of the file with this url, whoever owns it. */
async function ensureRegistered(
  look: Look,
  record: LazaiRecord,
  url: string,
  purpose: string,
): Promise<bigint> {
  const { contracts } = look;
  const known = await contracts.fileIdByUrl(url);
  if (known !== 0n) return known;
  await look.checkContracts();
  const permissions = await permissionsOf(look, record);
  const call = contracts.register(url, record.dataset.hash, record.idao, permissions);
  let refused = false;
  try {
    await look.submit(purpose, call);
  } catch (error) {
    // Taken between two questions, or by a transaction that is not mined yet.
    refused = error instanceof LazaiRefusal && error.revert === 'FileUrlAlreadyUsed';
    if (!refused) throw error;
  }
  const fileId = await contracts.fileIdByUrl(url);
  if (fileId !== 0n) return fileId;
  throw new LazaiWait(
    'LAZAI_NOT_MINED',
    refused
      ? "someone else's registration of the dataset's url is about to be mined; looked at again"
      : 'the file is registered, but the node does not show it yet',
  );
}

/** A file's number may change when a reorg puts another before it, and a payment names the number. */
async function requireDeepFile(look: Look, file: LazaiFile): Promise<void> {
  const [added] = await look.logs(look.contracts.fileAdded(file.fileId));
  if (added === undefined) throw logMissing(`FileAdded of file ${file.fileId}`);
  await look.requireDeep(added.blockNumber, `file ${file.fileId} is registered`);
}

/** Wraps the content key for each reader. */
async function permissionsOf(look: Look, record: LazaiRecord): Promise<Permission[]> {
  const permissions: Permission[] = [];
  for (const { account, publicKey } of look.tools.options.readers ?? []) {
    let pem = publicKey;
    if (pem === null) {
      pem = await look.contracts.registryPublicKey();
      await look.checkKey(`registry ${look.contracts.addresses.dataRegistry}`, pem);
    }
    permissions.push({ account, key: wrapContentKey(pem, record.contentKey, `reader ${account}`) });
  }
  return permissions;
}
