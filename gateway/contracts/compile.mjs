#!/usr/bin/env node
/**
 * Compiles the contracts with npm's solc and generates their typed bindings.
 *
 *   node compile.mjs           writes artifacts/ and types/
 *   node compile.mjs --check   builds anew and exits with 1 when what is committed differs
 *
 * Both folders are committed, so that installing the gateway needs no compiler.
 */
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { COMPILER, compile } from './solc.mjs';

const require = createRequire(import.meta.url);
const { runTypeChain } = require('typechain');

const HERE = dirname(fileURLToPath(import.meta.url));
const COMMITTED = { artifacts: join(HERE, 'artifacts'), types: join(HERE, 'types') };

/** What the gateway deploys or talks to. */
const CONTRACTS = [
  'IDAO',
  'IDAOFactory',
  'DeviceRegistry',
  'DAT',
  'DatasetForge',
  'Challenges',
  'SignatureJudge',
];

/** Builds artifacts and bindings into a folder. */
async function build(folder) {
  const artifacts = join(folder, 'artifacts');
  const types = join(folder, 'types');
  mkdirSync(artifacts, { recursive: true });
  for (const { name, contract, sourceHash } of compile(HERE, CONTRACTS)) {
    const artifact = {
      contractName: name,
      compiler: COMPILER,
      sourceHash,
      abi: contract.abi,
      bytecode: `0x${contract.evm.bytecode.object}`,
      deployedBytecode: `0x${contract.evm.deployedBytecode.object}`,
    };
    writeFileSync(join(artifacts, `${name}.json`), `${JSON.stringify(artifact, null, 2)}\n`);
  }
  const files = CONTRACTS.map((name) => join(artifacts, `${name}.json`));
  await runTypeChain({
    cwd: folder,
    filesToProcess: files,
    allFiles: files,
    inputDir: artifacts,
    outDir: types,
    target: 'ethers-v6',
    flags: {
      alwaysGenerateOverloads: false,
      discriminateTypes: false,
      tsNocheck: false,
      node16Modules: true,
      environment: undefined,
    },
  });
  return { artifacts, types };
}

/** All files under a folder: relative path to content. */
function readTree(folder) {
  const files = new Map();
  if (!existsSync(folder)) return files;
  for (const item of readdirSync(folder, { recursive: true, withFileTypes: true })) {
    if (!item.isFile()) continue;
    const path = join(item.parentPath ?? item.path, item.name);
    files.set(relative(folder, path), readFileSync(path, 'utf8'));
  }
  return files;
}

/** What differs between two trees, a line for each file. */
function differences(kind, committed, built) {
  const lines = [];
  for (const [path, content] of built) {
    if (!committed.has(path)) lines.push(`missing: ${kind}/${path}`);
    else if (committed.get(path) !== content) lines.push(`differs: ${kind}/${path}`);
  }
  for (const path of committed.keys()) {
    if (!built.has(path)) lines.push(`not built any more: ${kind}/${path}`);
  }
  return lines;
}

const folder = mkdtempSync(join(tmpdir(), 'waystone-contracts-'));
try {
  const built = await build(folder);
  const found = [];
  for (const kind of ['artifacts', 'types']) {
    const tree = readTree(built[kind]);
    if (process.argv.includes('--check')) {
      found.push(...differences(kind, readTree(COMMITTED[kind]), tree));
      continue;
    }
    rmSync(COMMITTED[kind], { recursive: true, force: true });
    for (const [path, content] of tree) {
      const target = join(COMMITTED[kind], path);
      mkdirSync(dirname(target), { recursive: true });
      writeFileSync(target, content);
    }
  }
  if (found.length > 0) {
    process.stderr.write(
      `The committed contracts are not what the sources give:\n  ${found.join('\n  ')}\n` +
        'Run `node gateway/contracts/compile.mjs` and commit the result.\n',
    );
    process.exitCode = 1;
  }
} finally {
  rmSync(folder, { recursive: true, force: true });
}
