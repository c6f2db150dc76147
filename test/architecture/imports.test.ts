import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import ts from 'typescript';
import { describe, expect, it } from 'vitest';

const root = fileURLToPath(new URL('../..', import.meta.url));

/** What each workspace may import of ours. */
const WORKSPACES: Readonly<Record<string, readonly string[]>> = {
  proto: [],
  'device-sdk': ['proto'],
  'firmware-bridge': ['proto', 'device-sdk'],
};

/** Folders of the gateway that are stages: they meet only through `core/`. */
const STAGES = [
  'ingest',
  'verify',
  'ledger',
  'seal',
  'forge',
  'receipts',
  'answers',
  'config',
  'disk',
];

/** Domain code that any stage may use, and what it may use itself. */
const SHARED: Readonly<Record<string, readonly string[]>> = {
  core: [],
  dataset: ['core'],
  contracts: [],
};

/** Readers of finished datasets and composition: above the stages, never imported by them. */
const AUDIT = ['core', 'dataset'];

/** What reads all that a gateway keeps, without a gateway: composition too, for the command line alone. */
const FSCK = ['core', 'dataset', 'audit', 'config', 'ledger', 'forge'];

/** Finds and files faults of datasets, without a gateway: for the command line alone. */
const CHALLENGE = ['core', 'forge'];

/** Helpers of tests and generators that stand beside the sources. */
const HELPERS = ['testing.ts', 'memory-view.ts', 'make-vectors.ts'];

interface Import {
  readonly from: string;
  readonly to: string;
}

const sources = ['proto', 'device-sdk', 'firmware-bridge', 'gateway'].flatMap((workspace) =>
  filesBelow(join(root, workspace)),
);
const imports = sources.flatMap(importsOf);

describe('imports', () => {
  it('are found at all', () => {
    expect(sources.length).toBeGreaterThan(80);
    expect(imports).toContainEqual({ from: 'gateway/seal/sealer.ts', to: 'gateway/core/ports.ts' });
    expect(imports).toContainEqual({ from: 'device-sdk/device.ts', to: '@waystone/proto' });
  });

  it.each(Object.entries(WORKSPACES))('of %s reach only %j', (workspace, allowed) => {
    const wrong = imports.filter(({ from, to }) => {
      if (!from.startsWith(`${workspace}/`)) return false;
      if (to.startsWith('@waystone/')) return !allowed.includes(to.slice('@waystone/'.length));
      return !to.startsWith(`${workspace}/`);
    });
    expect(wrong).toEqual([]);
  });

  it.each(STAGES)('of the stage %s never reach another stage', (stage) => {
    const allowed = [`gateway/${stage}/`, ...Object.keys(SHARED).map((name) => `gateway/${name}/`)];
    const wrong = imports.filter(
      ({ from, to }) =>
        from.startsWith(`gateway/${stage}/`) &&
        !to.startsWith('@waystone/proto') &&
        !allowed.some((folder) => to.startsWith(folder)),
    );
    expect(wrong).toEqual([]);
  });

  it.each(Object.entries(SHARED))('of gateway/%s reach only %j', (folder, allowed) => {
    const places = [folder, ...allowed].map((name) => `gateway/${name}/`);
    const wrong = imports.filter(
      ({ from, to }) =>
        from.startsWith(`gateway/${folder}/`) &&
        to !== '@waystone/proto' &&
        !places.some((place) => to.startsWith(place)),
    );
    expect(wrong).toEqual([]);
  });

  it('of the dataset checker need neither ledger nor keys', () => {
    const places = ['audit', ...AUDIT].map((name) => `gateway/${name}/`);
    const wrong = imports.filter(
      ({ from, to }) =>
        from.startsWith('gateway/audit/') &&
        to !== '@waystone/proto' &&
        !places.some((place) => to.startsWith(place)),
    );
    expect(wrong).toEqual([]);
  });

  it('of fsck reach the ledger and its neighbours, and only the command line reaches it', () => {
    const places = ['fsck', ...FSCK].map((name) => `gateway/${name}/`);
    const wrong = imports.filter(({ from, to }) =>
      from.startsWith('gateway/fsck/')
        ? to !== '@waystone/proto' && !places.some((place) => to.startsWith(place))
        : to.startsWith('gateway/fsck/') && !from.startsWith('gateway/cli/'),
    );
    expect(imports).toContainEqual({
      from: 'gateway/fsck/fsck.ts',
      to: 'gateway/fsck/check-log.ts',
    });
    expect(wrong).toEqual([]);
  });

  it('of the challenger reach the chain, and only the command line reaches it', () => {
    const places = ['challenge', ...CHALLENGE].map((name) => `gateway/${name}/`);
    const wrong = imports.filter(({ from, to }) =>
      from.startsWith('gateway/challenge/')
        ? to !== '@waystone/proto' && !places.some((place) => to.startsWith(place))
        : to.startsWith('gateway/challenge/') && !from.startsWith('gateway/cli/'),
    );
    expect(imports).toContainEqual({
      from: 'gateway/challenge/search.ts',
      to: 'gateway/forge/challenge-client.ts',
    });
    expect(wrong).toEqual([]);
  });

  it('of SQLite stand only in the ledger and fsck, so the main thread never calls it', () => {
    const wrong = sources
      .filter((file) => /from 'better-sqlite3'/.test(readFileSync(join(root, file), 'utf8')))
      .filter((file) => !/^gateway\/(ledger|fsck)\//.test(file));
    expect(wrong).toEqual([]);
  });
});

/** Sources below a folder, relative to the root; tests and their helpers may import what they like. */
function filesBelow(folder: string): string[] {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) {
      const skipped = ['dist', 'node_modules', 'generated', 'types', 'testing', 'test-data'];
      return skipped.includes(entry.name) ? [] : filesBelow(path);
    }
    const isSource = entry.name.endsWith('.ts') && !/\.(test|d)\.ts$/.test(entry.name);
    return isSource && !HELPERS.includes(entry.name) ? [relative(root, path)] : [];
  });
}

/** Our own modules that a file imports, types included. */
function importsOf(file: string): Import[] {
  const text = readFileSync(join(root, file), 'utf8');
  const { importedFiles } = ts.preProcessFile(text, true, true);
  return importedFiles.flatMap(({ fileName }) => {
    if (fileName.startsWith('@waystone/')) return [{ from: file, to: fileName }];
    if (!fileName.startsWith('.')) return [];
    const target = relative(root, resolve(root, dirname(file), fileName));
    return [{ from: file, to: target.replace(/\.js$/, '.ts') }];
  });
}
