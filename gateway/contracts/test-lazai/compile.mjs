#!/usr/bin/env node
/**
 * Compiles the stand-ins for LazAI's contracts, with the compiler and settings of ../compile.mjs.
 *
 *   node compile.mjs           writes artifacts/
 *   node compile.mjs --check   builds anew and exits with 1 when what is committed differs
 *
 * They are for tests only: nothing that ships loads them.
 */
import { createHash } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Interface } from 'ethers';

const require = createRequire(import.meta.url);
const solc = require('solc');

const HERE = dirname(fileURLToPath(import.meta.url));
const ARTIFACTS = join(HERE, 'artifacts');

const CONTRACTS = [
  'DataRegistry',
  'VerifiedComputing',
  'DataAnchoringToken',
  'OldDataAnchoringToken',
];

const SETTINGS = {
  optimizer: { enabled: true, runs: 10_000 },
  evmVersion: 'paris',
  metadata: { bytecodeHash: 'none', appendCBOR: false },
};

/** Our own files by their path here, libraries out of node_modules. */
function load(path) {
  try {
    const file = path.startsWith('src/') ? join(HERE, path) : require.resolve(path);
    return { contents: readFileSync(file, 'utf8') };
  } catch (error) {
    return { error: `${path}: ${error.message}` };
  }
}

/** SHA-256 over the names and Keccak hashes of all sources that went into a contract. */
function hashSources(metadata) {
  const hash = createHash('sha256');
  const sources = JSON.parse(metadata).sources;
  for (const path of Object.keys(sources).sort()) {
    hash.update(`${path} ${sources[path].keccak256}\n`);
  }
  return hash.digest('hex');
}

/** Name of each artifact to its content. */
function build() {
  const sources = {};
  for (const name of CONTRACTS) {
    const content = readFileSync(join(HERE, 'src', `${name}.sol`), 'utf8');
    sources[`src/${name}.sol`] = { content };
  }
  const outputSelection = { '*': { '*': ['abi', 'metadata', 'evm.bytecode.object'] } };
  const input = { language: 'Solidity', sources, settings: { ...SETTINGS, outputSelection } };
  const output = JSON.parse(solc.compile(JSON.stringify(input), { import: load }));
  const errors = (output.errors ?? []).filter((error) => error.severity === 'error');
  if (errors.length > 0) {
    throw new Error(errors.map((error) => error.formattedMessage).join('\n'));
  }
  return new Map(
    CONTRACTS.map((name) => {
      const contract = output.contracts[`src/${name}.sol`][name];
      const artifact = {
        contractName: name,
        compiler: { version: solc.version(), settings: SETTINGS },
        sourceHash: hashSources(contract.metadata),
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
