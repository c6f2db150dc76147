import { randomBytes } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { HDNodeWallet, Mnemonic } from 'ethers';
import { makeFolder, replaceFile } from '../core/durable.js';
import { WaystoneError } from '../core/errors.js';
import { contractAddresses, type DeployedAddresses, idaoAddress } from './addresses.js';

/** BIP-44 path of Ethereum accounts. */
const ACCOUNT_PATH = "m/44'/60'/0'/0";

/** Keys of the local chain and all that follows from them. */
export interface LocalKeys {
  /** Creates the contracts, and does nothing else. */
  readonly deployer: HDNodeWallet;
  /** Owns the iDAO. */
  readonly owner: HDNodeWallet;
  /** The gateway's hot key: commits and finalises. */
  readonly operator: HDNodeWallet;
  readonly contracts: DeployedAddresses;
  /** Address of the iDAO, known before the chain has ever run. */
  readonly idao: string;
}

/**
 * The local chain's keys, from a mnemonic of its own in `file` (mode 0600), made on first use.
 *
 * @throws WaystoneError LOCAL_CHAIN_KEYS_INVALID when the file holds no mnemonic.
 */
export function loadLocalKeys(file: string): LocalKeys {
  if (!existsSync(file)) {
    makeFolder(dirname(file));
    replaceFile(file, `${Mnemonic.fromEntropy(randomBytes(16)).phrase}\n`, 0o600);
  }
  const phrase = readFileSync(file, 'utf8').trim();
  if (!Mnemonic.isValidMnemonic(phrase)) {
    throw new WaystoneError(
      'LOCAL_CHAIN_KEYS_INVALID',
      `${file} holds no BIP-39 mnemonic; restore it from a backup, or remove the whole folder to begin a new local chain`,
    );
  }
  const accounts = HDNodeWallet.fromMnemonic(Mnemonic.fromPhrase(phrase), ACCOUNT_PATH);
  const deployer = accounts.deriveChild(0);
  const owner = accounts.deriveChild(1);
  const operator = accounts.deriveChild(2);
  const contracts = contractAddresses(deployer.address);
  return {
    deployer,
    owner,
    operator,
    contracts,
    idao: idaoAddress(contracts.factory, owner.address),
  };
}
