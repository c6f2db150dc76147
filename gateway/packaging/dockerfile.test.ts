import { spawn, spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join, posix } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';

const root = fileURLToPath(new URL('../..', import.meta.url));
const read = (path: string) => readFileSync(join(root, path), 'utf8');
const json = (path: string) => JSON.parse(read(path));

interface Instruction {
  readonly stage: number;
  readonly name: string;
  readonly text: string;
}

/** Instructions of a Dockerfile, with continued lines joined and comments left out. */
function parseDockerfile(text: string): Instruction[] {
  const joined = text
    .split('\n')
    .filter((line) => !/^\s*#/.test(line))
    .join('\n')
    .replace(/\\\n/g, ' ');
  let stage = -1;
  return joined
    .split('\n')
    .filter((line) => line.trim() !== '')
    .map((line) => {
      const [, name = '', rest = ''] = /^([A-Z]+)\s+(.*)$/.exec(line.trim()) ?? [];
      if (name === 'FROM') stage += 1;
      return { stage, name, text: rest.replace(/\s+/g, ' ').trim() };
    });
}

/** Sources and target of a COPY, and the stage that it copies from. */
function parseCopy({ text }: Instruction) {
  const words = text.split(' ');
  const from = words.find((word) => word.startsWith('--from='))?.slice('--from='.length);
  const paths = words.filter((word) => !word.startsWith('--'));
  return { from, sources: paths.slice(0, -1), target: paths.at(-1) ?? '' };
}

const instructions = parseDockerfile(read('Dockerfile'));
const named = (name: string) => instructions.filter((instruction) => instruction.name === name);
const lastStage = Math.max(...instructions.map(({ stage }) => stage));
const copies = named('COPY').map((instruction) => ({ ...instruction, ...parseCopy(instruction) }));
const fromContext = copies.filter(({ from }) => from === undefined);
const fromBuild = copies.filter(({ from }) => from !== undefined);
const ignored = read('.dockerignore').split('\n').filter(Boolean);

/** Whether .dockerignore keeps a path out of the build. Knows the three forms of pattern that it uses. */
function isDockerIgnored(path: string): boolean {
  return ignored.some((pattern) => {
    if (pattern.startsWith('**/*')) return path.endsWith(pattern.slice(4));
    if (pattern.startsWith('**/')) return path.split('/').includes(pattern.slice(3));
    return path === pattern || path.startsWith(`${pattern}/`);
  });
}

describe('Dockerfile', () => {
  it('has only instructions that there are', () => {
    const known = /^(FROM|RUN|WORKDIR|COPY|ENV|USER|VOLUME|EXPOSE|STOPSIGNAL|HEALTHCHECK|CMD)$/;
    for (const { name, text } of instructions) expect(`${name} ${text}`).toMatch(/^[A-Z]+ \S/);
    for (const { name } of instructions) expect(name).toMatch(known);
  });

  it('copies only paths that are in the repository', () => {
    const sources = fromContext.flatMap(({ sources }) => sources);
    expect(sources.length).toBeGreaterThan(10);
    for (const source of sources) {
      expect(existsSync(join(root, source)), `${source} exists`).toBe(true);
      expect(isDockerIgnored(source), `${source} is in .dockerignore`).toBe(false);
      const { status } = spawnSync('git', ['check-ignore', '-q', source], { cwd: root });
      expect(status, `git check-ignore ${source}`).toBe(1);
    }
  });

  it('keeps what is built or secret on this machine out of the build', () => {
    for (const path of ['node_modules', 'gateway/dist/x.js', 'proto/node_modules', '.git/config']) {
      expect(isDockerIgnored(path), path).toBe(true);
    }
  });

  it('has the manifest of every workspace before it installs', () => {
    const install = instructions.findIndex(({ text }) => text.startsWith('npm ci'));
    const before = instructions
      .slice(0, install)
      .filter(({ name }) => name === 'COPY')
      .flatMap((instruction) => parseCopy(instruction).sources);
    expect(before).toEqual(expect.arrayContaining(['package.json', 'package-lock.json']));
    for (const workspace of json('package.json').workspaces) {
      expect(before).toContain(`${workspace}/package.json`);
    }
  });

  it('runs npm scripts that there are', () => {
    const scripts = named('RUN').flatMap(({ text }) =>
      [...text.matchAll(/npm run (?:--\S+ )*([\w:-]+)/g)].map((match) => match[1] ?? ''),
    );
    expect(scripts).toContain('build');
    for (const script of scripts) expect(json('package.json').scripts ?? {}).toHaveProperty(script);
  });

  it('takes from the build stage what the build makes or was given', () => {
    const given = fromContext.map(({ target }) => posix.normalize(target));
    expect(fromBuild.length).toBeGreaterThan(5);
    for (const { from, sources } of fromBuild) {
      expect(from).toBe('build');
      for (const source of sources) {
        const path = posix.relative('/app', source);
        const workspace = path.split('/')[0] ?? '';
        if (path.endsWith('/dist')) {
          expect(json(`${workspace}/tsconfig.json`).compilerOptions.outDir).toBe('dist');
        } else if (posix.basename(path) !== 'node_modules') {
          expect(existsSync(join(root, path)), path).toBe(true);
          expect(given.some((target) => path.startsWith(target.replace(/^\.\/$/, '')))).toBe(true);
        }
      }
    }
  });

  it('takes along every file outside dist/ that runs', () => {
    const taken = fromBuild.flatMap(({ sources }) =>
      sources.map((source) => posix.relative('/app', source)),
    );
    const isTaken = (path: string) =>
      taken.some((folder) => path === folder || path.startsWith(`${folder}/`));
    const wire = posix.join('proto', json('proto/package.json').imports['#wire'].default);
    for (const path of [wire, 'gateway/answers/page/page.html', 'gateway/package.json']) {
      expect(existsSync(join(root, path)), path).toBe(true);
      expect(isTaken(path), path).toBe(true);
    }
  });

  it('starts what the build makes of the CLI, which is also the package command', () => {
    const [command] = named('CMD').map(({ text }) => JSON.parse(text) as string[]);
    const [node, flag, file = '', subcommand] = command ?? [];
    expect([node, flag]).toEqual(['node', '--single-threaded-gc']);
    const bin = posix.join('gateway', json('gateway/package.json').bin.waystone);
    expect(file).toBe(bin);
    const source = file.replace('/dist/', '/').replace(/\.js$/, '.ts');
    expect(read(source).split('\n')[0]).toBe(`#!/usr/bin/env -S node ${flag}`);
    expect(existsSync(join(root, 'gateway/cli/commands', `${subcommand}.ts`))).toBe(true);
    const links = named('RUN').map(({ text }) => text);
    expect(links.some((text) => text.includes(`/app/${file} /usr/local/bin/waystone`))).toBe(true);
  });

  it('runs as somebody who is not root, on the ports and home of the configuration', () => {
    const users = named('USER').filter(({ stage }) => stage === lastStage);
    expect(users.map(({ text }) => text)).toEqual(['node']);
    const volume = named('VOLUME')[0]?.text ?? '';
    expect(named('ENV')[0]?.text).toContain(`WAYSTONE_HOME=${volume}`);
    expect(named('EXPOSE')[0]?.text).toBe('1883 8484');
  });

  it('is healthy exactly while the API says that the gateway is alive', async () => {
    const health = named('HEALTHCHECK')[0]?.text ?? '';
    const [, program = ''] = /CMD \["node", "-e", "(.*)"\]$/.exec(health) ?? [];
    const address = 'http://127.0.0.1:8484';
    expect(program).toContain(`${address}/healthz`);

    let status = 200;
    const server = createServer((request, response) => {
      response.writeHead(request.url === '/healthz' ? status : 404).end();
    });
    await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
    const { port } = server.address() as AddressInfo;
    const check = async () => {
      const child = spawn(process.execPath, [
        '-e',
        program.replace(address, `http://127.0.0.1:${port}`),
      ]);
      return await new Promise<number | null>((done) => child.on('exit', done));
    };
    expect(await check()).toBe(0);
    status = 503;
    expect(await check()).toBe(1);
    await new Promise((done) => server.close(done));
    expect(await check()).toBe(1);
  });

  it('takes along the packages that npm puts below a workspace', () => {
    const nested = Object.keys(json('package-lock.json').packages)
      .map((path) => /^(proto|gateway)\/node_modules\//.exec(path)?.[1])
      .filter((workspace) => workspace !== undefined);
    const taken = fromBuild
      .flatMap(({ sources }) => sources)
      .map((source) => /^\/app\/(\w+)\/node_modules$/.exec(source)?.[1])
      .filter((workspace) => workspace !== undefined);
    expect(taken).toEqual([...new Set(nested)]);
  });
});
