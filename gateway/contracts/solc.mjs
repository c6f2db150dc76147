/** The compiler as all of our Solidity is compiled: npm's solc, one set of settings, reproducible to the byte. */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';

const require = createRequire(import.meta.url);
const solc = require('solc');

/** The same as in foundry.toml, so that Foundry's forge tests the very bytes that are deployed. */
const SETTINGS = {
  optimizer: { enabled: true, runs: 10_000 },
  evmVersion: 'paris',
  metadata: { bytecodeHash: 'none', appendCBOR: false },
};

/** Which compiler, and how it was set. */
export const COMPILER = { version: solc.version(), settings: SETTINGS };

/**
 * Compiles `src/<name>.sol` of a folder for each name, with what they import. Throws with the compiler's words on an
 * error.
 *
 * @returns the compiler's output for each name, and the hash of the sources that it came from.
 */
export function compile(folder, names) {
  const sources = {};
  for (const name of names) {
    sources[`src/${name}.sol`] = {
      content: readFileSync(join(folder, 'src', `${name}.sol`), 'utf8'),
    };
  }
  const outputs = ['abi', 'metadata', 'evm.bytecode.object', 'evm.deployedBytecode.object'];
  const settings = { ...SETTINGS, outputSelection: { '*': { '*': outputs } } };
  const input = { language: 'Solidity', sources, settings };
  const load = (path) => loadFrom(folder, path);
  const output = JSON.parse(solc.compile(JSON.stringify(input), { import: load }));
  const errors = (output.errors ?? []).filter((error) => error.severity === 'error');
  if (errors.length > 0) {
    throw new Error(errors.map((error) => error.formattedMessage).join('\n'));
  }
  return names.map((name) => {
    const contract = output.contracts[`src/${name}.sol`][name];
    return { name, contract, sourceHash: hashSources(contract.metadata) };
  });
}

/** Our own files by their path in the folder, libraries out of node_modules. */
function loadFrom(folder, path) {
  try {
    const file = path.startsWith('src/') ? join(folder, path) : require.resolve(path);
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
