#!/usr/bin/env node
/**
 * Compiles the stand-ins for LazAI's contracts, with the compiler and settings of our own.
 *
 *   node compile.mjs           writes artifacts/
 *   node compile.mjs --check   builds anew and exits with 1 when what is committed differs
 *
 * They are for tests only: nothing that ships loads them.
 */
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Interface } from 'ethers';
import { COMPILER, compile } from '../solc.mjs';

const HERE = dirname(fileURLToPath(import.meta.url));
const ARTIFACTS = join(HERE, 'artifacts');

const CONTRACTS = [
  'DataRegistry',
  'VerifiedComputing',
  'DataAnchoringToken',
  'OldDataAnchoringToken',
];

/** Name of each artifact to its content. */
function build() {
  return new Map(
    compile(HERE, CONTRACTS).map(({ name, contract, sourceHash }) => {
      const artifact = {
        contractName: name,
        compiler: COMPILER,
        sourceHash,
        // One line each, as people read them.
        abi: new Interface(contract.abi).format(),
        bytecode: `0x${contract.evm.bytecode.object}`,
      };
      return [`${name}.json`, `${JSON.stringify(artifact, null, 2)}\n`];
    }),
  );
}

const built = build();
if (process.argv.includes('--check')) {
  mkdirSync(ARTIFACTS, { recursive: true });
  const names = new Set([...built.keys(), ...readdirSync(ARTIFACTS)]);
  const differing = [...names].filter((name) => {
    try {
      return readFileSync(join(ARTIFACTS, name), 'utf8') !== built.get(name);
    } catch {
      return true;
    }
  });
  if (differing.length > 0) {
    process.stderr.write(
      `Not what the sources give: ${differing.join(', ')}\n` +
        'Run `node gateway/contracts/test-lazai/compile.mjs` and commit the result.\n',
    );
    process.exitCode = 1;
  }
} else {
  rmSync(ARTIFACTS, { recursive: true, force: true });
  mkdirSync(ARTIFACTS);
  for (const [name, content] of built) writeFileSync(join(ARTIFACTS, name), content);
}
