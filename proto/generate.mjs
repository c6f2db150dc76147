// Generates generated/wire.js and wire.d.ts from waystone/v1/*.proto; with --check it only compares.
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('.', import.meta.url));
const require = createRequire(import.meta.url);
const cli = (name) => require.resolve(`protobufjs-cli/bin/${name}`);
const sources = ['frame', 'control'].map((name) => join(root, `waystone/v1/${name}.proto`));
const check = process.argv.includes('--check');

const work = mkdtempSync(join(tmpdir(), 'waystone-proto-'));
try {
  const js = join(work, 'wire.js');
  const types = join(work, 'wire.d.ts');
  const run = (name, args) =>
    execFileSync(process.execPath, [cli(name), ...args], { stdio: 'inherit' });
  const shape = [
    '-t',
    'static-module',
    '-w',
    'es6',
    '-r',
    'waystone',
    '--dependency',
    'protobufjs/minimal.js',
  ];
  const less = [
    '--no-create',
    '--no-verify',
    '--no-delimited',
    '--no-convert',
    '--no-typeurl',
    '--no-service',
  ];
  run('pbjs', [...shape, ...less, '--force-number', '-o', js, ...sources]);
  // --force-number changes only the types: an absent 64-bit field would still read as a Long object, which is
  // neither 0 nor comparable, as soon as any package in the process has loaded "long".
  const longDefault = /\$util\.Long \? \$util\.Long\.fromBits\(0,0,(?:true|false)\) : 0;/g;
  writeFileSync(js, readFileSync(js, 'utf8').replace(longDefault, '0;'));
  run('pbts', ['-o', types, js]);
  let stale = false;
  for (const [made, kept] of [
    [js, 'generated/wire.js'],
    [types, 'generated/wire.d.ts'],
  ]) {
    const text = readFileSync(made, 'utf8');
    const target = join(root, kept);
    if (!check) writeFileSync(target, text);
    else if (readFileSync(target, 'utf8') !== text) {
      console.error(
        `proto/${kept} differs from what waystone/v1/*.proto generates; run npm run generate`,
      );
      stale = true;
    }
  }
  if (stale) process.exitCode = 1;
} finally {
  rmSync(work, { recursive: true });
}
