import type { Command } from 'commander';
import { loadConfig } from '../config/index.js';
import type { Config } from '../core/config.js';
import type { GatewayStatus } from '../core/view.js';
import type { SentTransaction } from '../forge/chain-sender.js';
import type { ClientOptions } from '../forge/open-clients.js';
import type { Call } from './call.js';

/** Whose key signs. */
export interface KeyFlags {
  readonly keystore?: string;
  readonly passwordFile?: string;
}

export const withKey = (command: Command): Command =>
  command
    .option('--keystore <file>', 'keystore (version 3) of whoever signs')
    .option('--password-file <file>', 'its password; else the credential waystone-chain-password');

/** The configured chain, and how to reach it: the local one through the gateway that runs it. */
export async function chainOf(
  call: Call<KeyFlags>,
): Promise<{ config: Config; options: ClientOptions }> {
  const { home, options, terminal } = call;
  const config = loadConfig({ home, environment: terminal.environment });
  const localUrl =
    config.chain.network === 'local'
      ? (await (await call.api()).get<GatewayStatus>('/v1/status')).chain.rpcUrl
      : '';
  return {
    config,
    options: {
      localUrl,
      keystoreFile: options.keystore ?? '',
      passwordFile: options.passwordFile ?? '',
      credentialsFolder: terminal.environment.CREDENTIALS_DIRECTORY ?? '',
    },
  };
}

export const sent = ({ transaction, gas }: SentTransaction): string =>
  `\n  transaction ${transaction}, ${gas} gas\n`;
