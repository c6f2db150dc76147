#!/usr/bin/env -S node --single-threaded-gc
import { runCli } from './cli.js';
import type { Parts } from './parts.js';
import { processTerminal } from './terminal.js';

const parts: Parts = {
  async startGateway(config, options) {
    (await import('../core/heap-growth.js')).collectLessOften();
    (await import('../core/idle-memory.js')).giveMemoryBackWhenIdle();
    return (await import('../gateway.js')).startGateway(config, options);
  },
  async restoreBackup(options) {
    return (await import('../ledger/restore.js')).restoreBackup(options);
  },
  async startNewLedger(options) {
    return (await import('../ledger/restore.js')).startNewLedger(options);
  },
  async backUpKeys(...args) {
    return (await import('../keys/key-backup.js')).backUpKeys(...args);
  },
  async restoreKeys(...args) {
    return (await import('../keys/key-backup.js')).restoreKeys(...args);
  },
  async fsck(options) {
    return (await import('../fsck/fsck.js')).fsck(options);
  },
  async preflight(config) {
    if (config.chain.target === 'lazai') {
      return (await import('../forge/open-lazai-forge.js')).lazaiPreflight(config);
    }
    return (await import('../forge/open-public-forge.js')).publicPreflight(config);
  },
  async openChain({ rpcUrl, forge }) {
    const { RpcChainReader } = await import('../forge/chain-reader.js');
    return new RpcChainReader({ url: rpcUrl, datasetForge: forge });
  },
  async openIdao(config, options) {
    return (await import('../forge/open-clients.js')).openIdao(config, options);
  },
  async openChallenges(config, options) {
    return (await import('../forge/open-clients.js')).openChallenges(config, options);
  },
  async openChallengesAt(at, options) {
    return (await import('../forge/open-clients.js')).openChallengesAt(at, options);
  },
  async openDat(config, options) {
    return (await import('../forge/open-clients.js')).openDat(config, options);
  },
  async runDemo(options, screen) {
    return (await import('../demo/demo.js')).runDemo(options, screen);
  },
  onStopSignal(stop) {
    process.on('SIGTERM', stop).on('SIGINT', stop);
    return () => process.off('SIGTERM', stop).off('SIGINT', stop);
  },
  exitNow: (code) => process.exit(code),
};

// `waystone batches list | head` closes the pipe early: that is no failure.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') throw error;
  process.exit(0);
});

process.exitCode = await runCli(process.argv.slice(2), processTerminal, parts);
