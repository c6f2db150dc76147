#!/usr/bin/env node
/** Runs Foundry's forge in this folder with the arguments given: `node forge.mjs test`. */
import { spawnSync } from 'node:child_process';
import { createRequire } from 'node:module';
import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';

const require = createRequire(import.meta.url);
const { platform } = process;
const arch = process.arch === 'x64' ? 'amd64' : process.arch;
const name = `@foundry-rs/forge-${platform}-${arch}`;

let binary;
try {
  binary = require.resolve(`${name}/bin/forge${platform === 'win32' ? '.exe' : ''}`);
} catch {
  process.stderr.write(
    `Foundry's forge has no binary here: ${name} is not installed.\n` +
      'The contracts themselves build without it (node compile.mjs); only their tests need it.\n',
  );
  process.exit(1);
}

const args = process.argv.slice(2);
// The linter leaves artifacts without bytecode, which `test` would then take for finished ones.
const lintOutput = { FOUNDRY_OUT: '.build/lint', FOUNDRY_CACHE_PATH: '.build/lint-cache' };
const { status, error } = spawnSync(binary, args, {
  cwd: dirname(fileURLToPath(import.meta.url)),
  stdio: 'inherit',
  env: { ...process.env, ...(args[0] === 'lint' ? lintOutput : {}) },
});
if (error !== undefined) {
  process.stderr.write(`${binary} did not start: ${error.message}\n`);
  process.exit(1);
}
process.exit(status ?? 1);
