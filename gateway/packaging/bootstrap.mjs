// Makes a clone ready to run: installs what package-lock.json names if it is missing or stale, then compiles what
// changed. Plain Node without dependencies, since it runs before there are any. All it says goes to standard error.
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = resolve(dirname(fileURLToPath(import.meta.url)), '../..');
const [major, minor] = process.versions.node.split('.').map(Number);
if (major < 20 || (major === 20 && minor < 19)) {
  fail(`Waystone needs Node 20.19 or later (22 and 24 too), this is ${process.version}.`);
}
if (!isInstalled()) install();
compile();

/** npm keeps what it installed in node_modules/.package-lock.json; every package of the lock must stand there. */
function isInstalled() {
  const kept = join(root, 'node_modules/.package-lock.json');
  if (!existsSync(kept)) return false;
  const read = (file) => JSON.parse(readFileSync(file, 'utf8')).packages;
  const installed = read(kept);
  return Object.entries(read(join(root, 'package-lock.json'))).every(
    ([path, { version, optional, peer }]) =>
      !path.startsWith('node_modules/') ||
      version === undefined ||
      optional === true ||
      peer === true ||
      installed[path]?.version === version,
  );
}

function install() {
  say(
    'installing dependencies (the first time compiles SQLite, which takes two or three minutes) …',
  );
  const environment = { ...process.env };
  // node-gyp would download Node's headers; where they came with Node, it need not.
  const prefix = resolve(dirname(process.execPath), '..');
  if (existsSync(join(prefix, 'include/node/node.h'))) environment.npm_config_nodedir ??= prefix;
  const { status } = spawnSync('npm', ['ci', '--no-audit', '--no-fund'], {
    cwd: root,
    env: environment,
    stdio: ['ignore', 2, 2],
  });
  if (status === 0) return;
  const missing = ['python3', 'make', 'g++'].filter((tool) => !isCommand(tool));
  if (missing.length === 0) fail('npm ci failed; what it says stands above.');
  fail(
    `npm ci failed, and ${missing.join(', ')} ${missing.length === 1 ? 'is' : 'are'} missing, which the native ` +
      'addon better-sqlite3 is compiled with. On Debian:\n' +
      '  apt-get install -y --no-install-recommends python3 make g++\n' +
      'then run the same command again.',
  );
}

function compile() {
  const tsc = join(root, 'node_modules/typescript/bin/tsc');
  const { status } = spawnSync(process.execPath, [tsc, '-b', root], { stdio: ['ignore', 2, 2] });
  if (status !== 0) fail('the TypeScript build failed; what it says stands above.');
}

function isCommand(name) {
  return spawnSync(name, ['--version'], { stdio: 'ignore' }).error === undefined;
}

function say(message) {
  process.stderr.write(`waystone: ${message}\n`);
}

function fail(message) {
  say(message);
  process.exit(1);
}
