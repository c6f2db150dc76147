import { createReadStream, existsSync, readdirSync, readFileSync, unlinkSync } from 'node:fs';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { createGunzip } from 'node:zlib';
import { Mnemonic } from 'ethers';
import { syncFolderNow } from '../core/durable.js';
import { messageOf } from '../core/errors.js';
import { DUMP_NAME } from '../forge/dump-files.js';
import { LOCAL_CHAIN_ID, LocalChain } from '../forge/local-chain.js';
import type { FsckContext } from './context.js';

const CHECK = 'local chain';

/** The files of the local chain: keys and dumps. What a dump holds only its node can say. */
export async function checkLocalChain(context: FsckContext): Promise<void> {
  const { dataFolder, db, report, progress } = context;
  const folder = join(dataFolder, 'chain');
  const names = existsSync(folder) ? readdirSync(folder).sort() : [];
  const dumps = names.filter((name) => DUMP_NAME.test(name));
  const confirmed = db
    .prepare("SELECT COUNT(*) FROM chain_intent WHERE chain_id = ? AND state = 'confirmed'")
    .pluck()
    .get(LOCAL_CHAIN_ID) as number;
  // A chain without a dump has confirmed nothing yet.
  if (confirmed > 0 && dumps.length === 0) {
    report.find(
      CHECK,
      'CHAIN_DUMP_MISSING',
      `${folder} holds no dump, and ${confirmed} intents are confirmed on the local chain`,
      { folder },
    );
  }
  if (confirmed > 0 || dumps.length > 0) checkKeys(context, folder);
  for (const [at, name] of dumps.entries()) {
    progress(CHECK, at, dumps.length);
    report.count(CHECK, 'dumps');
    const file = join(folder, name);
    try {
      await pipeline(createReadStream(file), createGunzip(), async (chunks) => {
        for await (const _ of chunks);
      });
    } catch (error) {
      report.find(CHECK, 'CHAIN_DUMP_UNREADABLE', `${file} cannot be read: ${messageOf(error)}`, {
        file,
      });
    }
  }
  for (const name of names) {
    const file = join(folder, name);
    if (name.endsWith('.unreadable')) {
      report.find(CHECK, 'CHAIN_DUMP_ASIDE', `${file} could not be loaded once`, { file });
    } else if (name.endsWith('.gz.tmp')) {
      report.find(
        CHECK,
        'CHAIN_DUMP_UNFINISHED',
        `${file} was never finished`,
        { file },
        {
          needs: [],
          run: () => {
            unlinkSync(file);
            syncFolderNow(folder);
            return `removed ${file}`;
          },
        },
      );
    }
  }
  report.done(CHECK);
}

function checkKeys({ report }: FsckContext, folder: string): void {
  const file = LocalChain.keyFile(folder);
  try {
    if (Mnemonic.isValidMnemonic(readFileSync(file, 'utf8').trim())) return;
    report.find(CHECK, 'CHAIN_KEYS_UNREADABLE', `${file} holds no BIP-39 mnemonic`, { file });
  } catch (error) {
    report.find(CHECK, 'CHAIN_KEYS_UNREADABLE', `${file} cannot be read: ${messageOf(error)}`, {
      file,
    });
  }
}
