#!/usr/bin/env node
/**
 * Lets Foundry's forge compile with npm's solc. It asks two things of a compiler: `--version`, and
 * standard JSON on stdin after `--base-path` and the like.
 */
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { resolve } from 'node:path';

const require = createRequire(import.meta.url);
const solc = require('solc');

if (process.argv.includes('--version')) {
  process.stdout.write('solc, the solidity compiler commandline interface\n');
  process.stdout.write(`Version: ${solc.version().replace('.Emscripten.clang', '.Linux.g++')}\n`);
  process.exit(0);
}

const flag = process.argv.indexOf('--base-path');
const base = flag < 0 ? process.cwd() : (process.argv[flag + 1] ?? process.cwd());

/** Where an import may be: as given, under the base path, or in a package. */
function load(path) {
  const candidates = [() => resolve(path), () => resolve(base, path), () => require.resolve(path)];
  for (const candidate of candidates) {
    try {
      return { contents: readFileSync(candidate(), 'utf8') };
    } catch {
      // Next candidate.
    }
  }
  return { error: `not found: ${path}` };
}

process.stdout.write(solc.compile(readFileSync(0, 'utf8'), { import: load }));
