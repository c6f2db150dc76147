import type { ChainReader } from '../core/chain-view.js';
import type { Config } from '../core/config.js';
import type { Logger } from '../core/logger.js';
import type { DemoOptions, RunningDemo } from '../demo/demo.js';
import type { DemoScreen } from '../demo/screen.js';
import type { ChallengeClient } from '../forge/challenge-client.js';
import type { DatClient } from '../forge/dat-client.js';
import type { IdaoClient } from '../forge/idao-client.js';
import type { ClientOptions } from '../forge/open-clients.js';
import type { Finding } from '../forge/preflight.js';
import type { FsckOptions, FsckResult } from '../fsck/fsck.js';
import type { backUpKeys, restoreKeys } from '../keys/key-backup.js';

/**
 * The heavy parts of the gateway that some commands need. They are loaded when such a command runs, so that
 * `waystone status` starts neither SQLite nor ethers.
 */
export interface Parts {
  /** @param options `onFatal` is called when the state on disk is unknown and the process must end. */
  startGateway(
    config: Config,
    options: { logger: Logger; onFatal: (error: Error) => void },
  ): Promise<RunningGateway>;
  restoreBackup(options: {
    backup: string;
    dataFolder: string;
    home: string;
  }): Promise<{ logId: string; datasets: number; movedAside: string | null }>;
  startNewLedger(options: {
    dataFolder: string;
    home: string;
  }): Promise<{ movedAside: string | null }>;
  backUpKeys: typeof backUpKeys;
  restoreKeys: typeof restoreKeys;
  fsck(options: FsckOptions): Promise<FsckResult>;
  /** Looks at the configured public network, without sending anything. */
  preflight(config: Config): Promise<Finding[]>;
  /** Reads datasets from a DatasetForge contract; close it, or its connection keeps the process alive. */
  openChain(options: { rpcUrl: string; forge: string }): Promise<ChainReader & { close(): void }>;
  /** The iDAO of the configured network; close the client. */
  openIdao(config: Config, options: ClientOptions): Promise<IdaoClient>;
  /** Data Anchoring Tokens of the configured network; close the client. */
  openDat(config: Config, options: ClientOptions): Promise<DatClient>;
  /** Datasets of the configured network, or of the chain of a node; close the client. */
  openChallenges(config: Config, options: ClientOptions): Promise<ChallengeClient>;
  openChallengesAt(
    at: { rpcUrl: string; forge: string },
    options: Omit<ClientOptions, 'localUrl'>,
  ): Promise<ChallengeClient>;
  runDemo(options: DemoOptions, screen: DemoScreen): Promise<RunningDemo>;
  /** Calls `stop` for each SIGTERM and SIGINT. @returns what takes the handler away again. */
  onStopSignal(stop: (signal: string) => void): () => void;
  /** Ends the process at once. */
  exitNow(code: number): void;
}

export interface RunningGateway {
  readonly mqttPort: number;
  readonly httpPort: number;
  stop(): Promise<void>;
}
