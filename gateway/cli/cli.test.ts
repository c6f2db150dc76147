import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { createServer, type Server } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type HttpServer, startHttp } from '../answers/index.js';
import { exampleBatch, exampleDataset, MemoryGatewayView } from '../answers/memory-view.js';
import { initHome, loadToken } from '../config/index.js';
import type { Config } from '../core/config.js';
import { WaystoneError } from '../core/errors.js';
import { makeDataset, makeKey, makeRows } from '../dataset/testing.js';
import type { Finding } from '../forge/preflight.js';
import { runCli } from './cli.js';
import type { Parts } from './parts.js';
import type { Terminal } from './terminal.js';

const DID = 'did:key:zQ3shokFTS3brHcDQrn82RUDfCZESWL1ZdCEJwekUDPQiYBme';
const SESSION = '0f'.repeat(16);
const ROOT = 'ab'.repeat(32);
const quiet = () => undefined;
const logger = { trace: quiet, debug: quiet, info: quiet, warn: quiet, error: quiet };

describe('waystone', () => {
  let folder: string;
  let home: string;
  let environment: Record<string, string>;
  let isTty: boolean;
  let running: { view: MemoryGatewayView; server: HttpServer } | undefined;
  let parts: Parts & { calls: unknown[]; stop: ((signal: string) => void) | null };

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'waystone-cli-'));
    home = join(folder, 'home');
    environment = { WAYSTONE_HOME: home };
    isTty = false;
    parts = {
      calls: [],
      stop: null,
      startGateway: async () => {
        throw new Error('this test starts no gateway');
      },
      restoreBackup: async (options) => {
        parts.calls.push(options);
        return { logId: '5f'.repeat(16), datasets: 3, movedAside: null };
      },
      startNewLedger: async (options) => {
        parts.calls.push(options);
        return { movedAside: null };
      },
      openIdao: async () => {
        throw new Error('this test asks no chain');
      },
      openDat: async () => {
        throw new Error('this test asks no chain');
      },
      openChallenges: async () => {
        throw new Error('this test asks no chain');
      },
      openChallengesAt: async () => {
        throw new Error('this test asks no chain');
      },
      backUpKeys: async (places, options) => {
        parts.calls.push({ places, ...options });
        return { file: options.file, gateway: DID, keys: ['gateway', 'next'] };
      },
      restoreKeys: async (places, options) => {
        parts.calls.push({ places, ...options });
        return { gateway: DID, restored: ['gateway'], kept: ['next'] };
      },
      fsck: async () => {
        throw new Error('this test checks no ledger');
      },
      preflight: async () => {
        throw new Error('this test looks at no network');
      },
      openChain: async () => {
        throw new Error('this test reads no chain');
      },
      runDemo: async () => {
        throw new Error('this test runs no demo');
      },
      onStopSignal: (stop) => {
        parts.stop = stop;
        return () => {
          parts.stop = null;
        };
      },
      exitNow: (code) => {
        parts.calls.push({ exit: code });
      },
    };
  });
  afterEach(async () => {
    await running?.server.close();
    running = undefined;
    rmSync(folder, { recursive: true, force: true });
  });

  function terminalOf(out: string[], err: string[]): Terminal {
    return {
      out: (text) => out.push(text),
      err: (text) => err.push(text),
      isTty,
      environment,
      nowMs: () => 1_795_348_800_000,
    };
  }

  async function run(...args: string[]) {
    const out: string[] = [];
    const err: string[] = [];
    const code = await runCli(args, terminalOf(out, err), parts);
    return { code, out: out.join(''), err: err.join('') };
  }

  async function json(...args: string[]) {
    const result = await run(...args, '--json');
    return { ...result, value: JSON.parse(result.out) };
  }

  /** A home with a gateway answering for it, at a port that only its address file tells. */
  async function runningGateway(): Promise<MemoryGatewayView> {
    await initHome(home);
    const view = new MemoryGatewayView();
    const token = await loadToken(home);
    const server = await startHttp({ host: '127.0.0.1', port: 0, token, view, logger });
    writeFileSync(join(home, 'http-address'), `http://127.0.0.1:${server.port}\n`);
    running = { view, server };
    return view;
  }

  describe('help', () => {
    it.each([
      'init',
      'start',
      'status',
      'devices',
      'devices list',
      'devices add',
      'devices revoke',
      'relays',
      'relays list',
      'relays add',
      'relays set',
      'relays remove',
      'batches',
      'batches list',
      'batches show',
      'batches seal',
      'datasets',
      'datasets list',
      'datasets show',
      'prove',
      'verify',
      'forge',
      'forge status',
      'forge retry',
      'forge pause',
      'forge resume',
      'idao',
      'idao show',
      'idao create',
      'idao operators',
      'idao operators add',
      'idao operators remove',
      'idao bond',
      'idao bond deposit',
      'idao bond request',
      'idao bond take',
      'dat',
      'dat show',
      'dat licence',
      'dat usage',
      'dat revenue',
      'dat claim',
      'chain',
      'chain preflight',
      'fsck',
      'backup',
      'restore',
      'demo',
    ])('of %s has an example and the common options', async (command) => {
      const { code, out, err } = await run(...command.split(' '), '--help');
      expect(code).toBe(0);
      expect(err).toBe('');
      expect(out).toMatch(new RegExp(`Usage: waystone ${command} `));
      expect(out).toContain('Example:\n  waystone ');
      for (const option of ['--home', '--url', '--json']) expect(out).toContain(option);
    });

    it('lists all commands and the exit codes', async () => {
      const { code, out } = await run('--help');
      expect(code).toBe(0);
      for (const command of ['init', 'start', 'status', 'devices', 'verify', 'restore']) {
        expect(out).toMatch(new RegExp(`^ {2}${command} `, 'm'));
      }
      expect(out).toContain('3 from verify');
    });

    it('tells the version of the package', async () => {
      const { version } = JSON.parse(
        readFileSync(new URL('../package.json', import.meta.url), 'utf8'),
      );
      expect(await run('--version')).toEqual({ code: 0, out: `${version}\n`, err: '' });
    });
  });

  describe('wrong usage', () => {
    it.each([
      [['bogus'], "unknown command 'bogus'"],
      [['status', '--bogus'], "unknown option '--bogus'"],
      [['devices', 'add'], "missing required argument 'did'"],
      [['status', 'extra'], 'too many arguments'],
      [['verify', 'x', '--rpc', 'http://x'], '--rpc and --forge belong together'],
      [['verify', 'x', '--forge', '0x1', '--rpc', 'http://x'], '--forge must be 0x'],
    ])('%j ends with 2 and one line', async (args, message) => {
      const { code, out, err } = await run(...args);
      expect(code).toBe(2);
      expect(out).toBe('');
      expect(err).toMatch(/^USAGE: [^\n]+\n$/);
      expect(err).toContain(message);
      const asJson = await json(...args);
      expect(asJson).toMatchObject({ code: 2, err: '', value: { error: { code: 'USAGE' } } });
    });

    it.each([[[]], [['devices']], [['batches']]])('%j shows the help', async (args) => {
      const { code, err } = await run(...args);
      expect(code).toBe(2);
      expect(err).toContain('Usage: waystone');
    });

    it('shows a stack only when asked to', async () => {
      expect((await run('status')).err).not.toContain('    at ');
      expect((await run('status', '--verbose')).err).toContain('    at ');
    });
  });

  describe('without a running gateway', () => {
    it('init makes a home, once', async () => {
      const first = await json('init');
      expect(first.code).toBe(0);
      expect(first.value).toEqual({
        home,
        gateway: expect.stringMatching(/^did:key:zQ3sh/),
        created: expect.arrayContaining([join(home, 'waystone.toml'), join(home, 'api-token')]),
      });
      const again = await run('init');
      expect(again.code).toBe(2);
      expect(again.err).toMatch(/^HOME_EXISTS: /);
      const forced = await run('init', '--force');
      expect(forced.code).toBe(0);
      expect(forced.out).toContain(first.value.gateway);
      expect(forced.out).toContain('Next: waystone start');
    });

    it('--home wins over WAYSTONE_HOME', async () => {
      const other = join(folder, 'other');
      expect((await json('--home', other, 'init')).value.home).toBe(other);
      expect((await run('init', '--home', other)).err).toContain(other);
      expect(existsSync(home)).toBe(false);
    });

    it.each([
      ['status'],
      ['devices', 'list'],
      ['batches', 'seal'],
      ['datasets', 'show', ROOT],
      ['prove', DID, SESSION, '1', '0'],
      ['backup', '/x'],
    ])('%s %s says what to do', async (...args) => {
      expect((await run(...args)).err).toMatch(/^HOME_MISSING: .*waystone init/);
      await initHome(home);
      environment.WAYSTONE_HTTP_PORT = '1';
      const { code, err } = await run(...args);
      expect(code).toBe(1);
      expect(err).toMatch(
        /^GATEWAY_UNREACHABLE: no gateway answers at http:\/\/127\.0\.0\.1:1 .*waystone start/,
      );
    });

    it('restore puts a backup into the data folder that is configured', async () => {
      await initHome(home);
      environment.WAYSTONE_DATA_FOLDER = '/srv/waystone';
      const { code, value } = await json('restore', '/mnt/backup');
      expect(code).toBe(0);
      expect(value).toEqual({ logId: '5f'.repeat(16), datasets: 3, movedAside: null });
      expect(parts.calls).toEqual([{ backup: '/mnt/backup', dataFolder: '/srv/waystone', home }]);
      expect((await run('restore', '/mnt/backup')).out).toContain('restored 3 datasets');
    });

    it('chain preflight says what stands in the way, and ends with 1 when something does', async () => {
      await initHome(home);
      expect(await run('chain', 'preflight')).toMatchObject({
        code: 0,
        out: expect.stringMatching(/CHAIN_LOCAL.*\nnothing stands in the way\n$/),
      });
      environment.WAYSTONE_CHAIN_NETWORK = 'metis';
      const missing: Finding = {
        level: 'stop',
        code: 'FORGE_NO_FUNDS',
        what: 'it has 0 METIS',
        facts: { balanceWei: '0' },
        todo: 'send it some',
      };
      parts.preflight = async ({ chain }) => {
        parts.calls.push(chain.network);
        return [
          { ...missing, level: 'ok', code: 'NODE_SOUND', what: 'it answers', todo: '' },
          missing,
        ];
      };
      expect(await run('chain', 'preflight')).toEqual({
        code: 1,
        out: 'ok   it answers (NODE_SOUND)\nstop it has 0 METIS (FORGE_NO_FUNDS)\n     do: send it some\none thing stands in the way\n',
        err: '',
      });
      expect(parts.calls).toEqual(['metis']);
      const { value } = await json('chain', 'preflight');
      expect(value).toMatchObject({ network: 'metis', findings: [{ level: 'ok' }, missing] });
    });

    it('fsck ends with 0 when clean, 1 when faults are left, and 2 when it could not look', async () => {
      await initHome(home);
      const result = {
        type: 'waystone-fsck' as const,
        home,
        dataFolder: join(home, 'data'),
        result: 'clean' as const,
        exitCode: 0 as const,
        verdict: 'clean',
        checks: [],
        findings: [],
        unlisted: {},
      };
      parts.fsck = async ({ onProgress, ...options }) => {
        parts.calls.push(options);
        onProgress?.('log', 1, 1200);
        return result;
      };
      expect(await run('fsck')).toEqual({ code: 0, out: '\nclean\n', err: '' });
      const options = { home, dataFolder: join(home, 'data'), repair: true, quick: true };
      expect((await json('fsck', '--repair', '--quick')).value).toEqual(result);
      expect(parts.calls.at(-1)).toEqual(options);
      // People see how far it is, and that line is gone before anything else is said.
      isTty = true;
      expect((await run('fsck')).err).toBe('\r\u001b[Klog: 1 of 1,200\r\u001b[K');
      parts.fsck = async () => ({ ...result, result: 'faults', exitCode: 1, verdict: '1 fault' });
      expect(await run('fsck')).toMatchObject({ code: 1, out: '\n1 fault\n' });
      parts.fsck = async () => {
        throw new WaystoneError('DATA_FOLDER_LOCKED', 'a gateway runs');
      };
      expect(await run('fsck')).toEqual({
        code: 2,
        out: '',
        err: 'DATA_FOLDER_LOCKED: a gateway runs\n',
      });
      expect(await json('fsck')).toMatchObject({
        code: 2,
        value: { error: { code: 'DATA_FOLDER_LOCKED', message: 'a gateway runs' } },
      });
      expect((await run('fsck', '--force')).code).toBe(2);
    });

    it('keys are backed up and restored under a password from a file, never one from the command line', async () => {
      const backup = await run('keys', 'backup', '/mnt/usb/keys.json', '--password-file', '/mnt/p');
      expect(backup.out).toBe(`wrote gateway, next of ${DID} to /mnt/usb/keys.json\n`);
      const restore = await run(
        'keys',
        'restore',
        '/mnt/usb/keys.json',
        '--password-file',
        '/mnt/p',
      );
      expect(restore.out).toBe(`keys of ${DID}: restored gateway, there already next\n`);
      const places = { home, dataFolder: join(home, 'data') };
      for (const call of parts.calls) {
        expect(call).toMatchObject({
          ...{ places, file: '/mnt/usb/keys.json', passwordFile: '/mnt/p' },
        });
      }
      expect((await run('keys', 'backup', '/mnt/usb/keys.json')).code).toBe(2);
      expect((await run('keys', 'backup', '/k', '--password', 'secret')).code).toBe(2);
    });

    it('restore without a backup wants to be told so', async () => {
      await initHome(home);
      for (const args of [['restore'], ['restore', '/mnt/backup', '--new-log']]) {
        expect(await run(...args)).toMatchObject({
          code: 2,
          err: expect.stringMatching(/^USAGE: /),
        });
      }
      expect(parts.calls).toEqual([]);
      expect((await json('restore', '--new-log')).value).toEqual({ movedAside: null });
      expect(parts.calls).toEqual([{ dataFolder: join(home, 'data'), home }]);
    });

    it('verify tells a path that cannot be read from one that does not hold', async () => {
      const missing = await run('verify', join(folder, 'nothing'));
      expect(missing.code).toBe(2);
      expect(missing.err).toMatch(/^PATH_UNREADABLE: /);
      const empty = join(folder, 'empty');
      mkdirSync(empty);
      const failed = await run('verify', empty);
      expect(failed.code).toBe(1);
      expect(failed.out).toContain('✗');
      const asJson = await json('verify', empty);
      expect(asJson.code).toBe(1);
      expect(asJson.value).toMatchObject({ type: 'waystone-verification', result: 'failed' });
      expect((await run('verify', empty, '--gateway', 'did:x')).err).toMatch(/^DID_INVALID: /);
    });

    it('verify ends with 0 only when the signer is pinned, and with 1 for another signer', async () => {
      const gateway = makeKey('secp256k1');
      const device = makeKey('secp256k1');
      const rows = makeRows([device], 2, 3);
      const { directory } = await makeDataset({ parent: folder, gateway, keys: [device], rows });
      const unpinned = await run('verify', directory);
      expect(unpinned.code).toBe(3);
      expect(unpinned.out).toContain('consistent, signer not pinned');
      expect((await run('verify', directory, '--gateway', gateway.did)).code).toBe(0);
      expect((await run('verify', directory, '--gateway', device.did)).code).toBe(1);
      expect((await json('verify', directory)).value).toMatchObject({ result: 'consistent' });
    });

    it('verify closes the chain that it opened, whatever comes of it', async () => {
      let closed = 0;
      parts.openChain = async (options) => {
        parts.calls.push(options);
        return {
          datasetOnChain: async () => ({ status: 'absent' }),
          close: () => {
            closed += 1;
          },
        };
      };
      const forge = `0x${'ab'.repeat(20)}`;
      const flags = ['--rpc', 'http://127.0.0.1:8545', '--forge', forge];
      expect((await run('verify', join(folder, 'nothing'), ...flags)).code).toBe(2);
      expect(closed).toBe(1);
      expect(parts.calls).toEqual([{ rpcUrl: 'http://127.0.0.1:8545', forge }]);
    });
  });

  describe('with a running gateway', () => {
    it('status gives three separate answers, and the newest batches', async () => {
      const view = await runningGateway();
      view.statusRow = {
        ...view.statusRow,
        uplink: { state: 'down', why: 'connection refused' },
      };
      view.batchRows = [1, 2, 3, 4, 5, 6, 7].map((id) => exampleBatch({ id }));
      const { code, out } = await run('status');
      expect(code).toBe(0);
      expect(out).toMatch(/^box +ok$/m);
      expect(out).toMatch(/^uplink +down: connection refused$/m);
      expect(out).toMatch(/^chain +local, id 31337: a chain of this gateway alone/m);
      expect(out).toMatch(/^up +2 h 5 min$/m);
      const { value } = await json('status');
      expect(value).toMatchObject(view.statusRow);
      expect(value.newestBatches.map((batch: { id: number }) => batch.id)).toEqual([7, 6, 5, 4, 3]);
    });

    it('relays add shows the secret once, list never, and remove takes it away', async () => {
      const view = await runningGateway();
      await view.enrol(DID, '');
      expect((await run('relays', 'list')).out).toContain('there is no relay');
      const added = await run('relays', 'add', 'depot-7', '--devices', ` ${DID}, ${DID}`);
      expect(added).toMatchObject({ code: 0, err: '' });
      expect(added.out).toMatch(/^user name {2}depot-7\npassword {3}s{43}$/m);
      const box = await run('relays', 'add', 'box', '--all-devices', '--did', DID);
      expect(box.out).toContain(`it logs in as ${DID}`);
      expect(box.out).not.toContain('password');
      const { out } = await run('relays', 'list');
      expect(out).toMatch(/^depot-7 +2 devices +with a secret +away +0 s ago$/m);
      expect(out).toMatch(/^box +every device +as did:key:\S+ +away +0 s ago$/m);
      expect(out).not.toContain('sss');
      const changed = await run('relays', 'set', 'depot-7', '--all-devices');
      expect(changed.out).toBe('depot-7 carries every device now\n');
      expect(view.relayRows.get('depot-7')?.devices).toBeNull();
      expect((await run('relays', 'remove', 'depot-7')).out).toBe('removed depot-7\n');
      expect([...view.relayRows.keys()]).toEqual(['box']);
      expect((await run('relays', 'remove', 'depot-7')).err).toMatch(/^RELAY_UNKNOWN: /);
    });

    it('relays add wants either a list of devices or all of them', async () => {
      await runningGateway();
      for (const args of [[], ['--devices', DID, '--all-devices']]) {
        expect(await run('relays', 'add', 'depot', ...args)).toMatchObject({
          code: 2,
          err: expect.stringMatching(/^USAGE: name its devices/),
        });
      }
      const wrong = await run('relays', 'add', 'depot', '--devices', 'x');
      expect(wrong.err).toMatch(/^DID_INVALID: /);
    });

    it('forge says what is under way, and is paused and resumed', async () => {
      const view = await runningGateway();
      view.forgeRow = {
        ...view.forgeRow,
        why: 'its window is open',
        datasets: [
          { logId: '5f'.repeat(16), index: 7, state: 'committed', waitsFor: 'its window' },
        ],
      };
      expect((await run('forge', 'status')).out).toBe(
        [
          'network     local, chain 31337',
          'state       idle',
          'waits for   its window is open',
          'node        answers, block 12',
          'last error  none',
          '',
          'LOG       PLACE  STATE      WAITS FOR',
          '5f5f5f5f      7  committed  its window',
          '',
        ].join('\n'),
      );
      expect((await json('forge', 'pause')).value).toMatchObject({ isPaused: true });
      expect((await run('forge', 'retry')).out).toContain('paused');
      expect((await json('forge', 'resume')).value).toEqual(view.forgeRow);
    });

    it('batches list says what each waits for, in aligned columns', async () => {
      const view = await runningGateway();
      expect((await run('batches', 'list')).out).toContain('no batch yet');
      view.batchRows = [
        exampleBatch({ id: 12 }),
        exampleBatch({ id: 9, state: 'forged', frames: 1_048_576, waitsFor: '' }),
      ];
      expect((await run('batches', 'list')).out).toBe(
        [
          'BATCH  STATE   STREAM     FRAMES  DEVICES    SIZE   AGE  WAITS FOR',
          '   12  open    drive       1,280        1  410 kB  42 s  16,364 more entries or 9 min 18 s, whichever comes first',
          '    9  forged  drive   1,048,576        1  410 kB  42 s',
          '',
        ].join('\n'),
      );
      expect((await json('batches', 'list', '--limit', '1')).value.batches).toEqual([
        view.batchRows[0],
      ]);
      expect((await run('batches', 'list', '--limit', 'x')).err).toMatch(
        /^PARAMETER_INVALID: limit/,
      );
    });

    it('batches show and seal', async () => {
      const view = await runningGateway();
      view.batchRows = [exampleBatch({ id: 12 })];
      expect((await run('batches', 'show', '12')).out).toMatch(/^waits for +16,364 more entries/m);
      expect((await json('batches', 'show', '12')).value).toEqual(view.batchRows[0]);
      expect(await run('batches', 'show', '13')).toMatchObject({
        code: 1,
        err: 'BATCH_UNKNOWN: there is no batch 13\n',
      });
      expect((await run('batches', 'seal')).out).toBe('closed batch 12\n');
      expect((await run('batches', 'seal')).out).toBe('no batch is open\n');
    });

    it('devices add, list and revoke', async () => {
      const view = await runningGateway();
      expect((await run('devices', 'list')).out).toContain('no device is enrolled');
      const added = await run('devices', 'add', DID, '--label', 'car 7');
      expect(added).toEqual({ code: 0, out: `enrolled ${DID} (secp256k1)\n`, err: '' });
      expect((await run('devices', 'add', DID)).err).toMatch(/^DEVICE_EXISTS: /);
      expect(await run('devices', 'add', 'did:web:x')).toMatchObject({
        code: 2,
        err: expect.stringMatching(/^DID_INVALID: /),
      });
      expect((await run('devices', 'list')).out).toMatch(
        new RegExp(`^${DID} +car 7 +secp256k1 +away +never +0 +0 +0$`, 'm'),
      );
      expect((await run('devices', 'revoke', DID, '--reason', 'stolen')).out).toBe(
        `revoked ${DID} (car 7)\n`,
      );
      expect(view.deviceRows.get(DID)?.revokedAtUs).not.toBeNull();
      expect((await json('devices', 'list')).value.devices).toEqual([...view.deviceRows.values()]);
    });

    it('datasets list and show, by root or enough of its digits', async () => {
      const view = await runningGateway();
      expect((await run('datasets', 'list')).out).toContain('no dataset yet');
      view.datasetRows = [
        exampleDataset(),
        exampleDataset({ root: `abac${'00'.repeat(30)}`, logIndex: 1, dat: null }),
      ];
      expect((await run('datasets', 'list')).out).toMatch(/^ +0 {2}abababababababab +forged /m);
      for (const name of [ROOT, 'ababab', 'ABABAB']) {
        const { code, out } = await run('datasets', 'show', name);
        expect(code).toBe(0);
        expect(out).toContain(ROOT);
        expect(out).toMatch(/^DAT +token 1, class 1$/m);
      }
      expect((await json('datasets', 'show', ROOT)).value).toMatchObject({
        root: ROOT,
        manifest: { root: ROOT },
      });
      const none = await run('datasets', 'show', 'ffff');
      expect(none.err).toMatch(/^DATASET_UNKNOWN: no dataset's root starts with ffff/);
      const two = `abac${'00'.repeat(29)}01`;
      view.datasetRows.push(exampleDataset({ root: two, logIndex: 2 }));
      expect((await run('datasets', 'show', 'abac')).err).toContain('2 roots start with abac');
      expect((await run('datasets', 'show', 'xyz')).err).toMatch(/^PARAMETER_INVALID: root/);
    });

    it('prove writes the proof, or says what the frame waits for', async () => {
      const view = await runningGateway();
      const proof = { type: 'waystone-proof', version: 1 };
      view.proofs.set(`${DID}/${SESSION}/1/0`, { state: 'proved', root: ROOT, proof });
      view.proofs.set(`${DID}/${SESSION}/1/1`, {
        state: 'waiting',
        batch: 4,
        waitsFor: 'its seal',
      });
      const place = (sequence: string) => ['prove', DID, SESSION, '1', sequence];
      expect(JSON.parse((await run(...place('0'))).out)).toEqual(proof);
      const file = join(folder, 'proof.json');
      expect((await run(...place('0'), '--out', file)).out).toContain('waystone verify');
      expect(JSON.parse(readFileSync(file, 'utf8'))).toEqual(proof);
      const waiting = await run(...place('1'));
      expect(waiting.code).toBe(1);
      expect(waiting.err).toMatch(/^FRAME_WAITING: .*batch 4.*its seal\n$/);
      expect((await run(...place('2'))).err).toMatch(/^FRAME_UNKNOWN: /);
      expect((await run(...place('0'), '--out', join(file, 'x'))).err).toMatch(
        /^PATH_UNWRITABLE: /,
      );
    });

    it('backup names the folder as the gateway sees it', async () => {
      await runningGateway();
      const target = join(folder, 'backup');
      expect((await run('backup', target)).out).toBe(`wrote 0 datasets, 6 B, to ${target}\n`);
      expect((await run('backup', target)).err).toMatch(/^BACKUP_EXISTS: /);
    });

    it('lets no word of a device move the cursor', async () => {
      const view = await runningGateway();
      view.batchRows = [exampleBatch({ waitsFor: '\u001b[2J\u202egone' })];
      const { out } = await run('batches', 'list');
      expect(out).toContain('\\u{1b}[2J\\u{202e}gone');
      expect(out).not.toContain('\u001b');
    });

    it('--url and WAYSTONE_TOKEN reach a gateway that has no home here', async () => {
      await runningGateway();
      const url = `http://localhost:${running?.server.port}/`;
      environment.WAYSTONE_TOKEN = await loadToken(home);
      environment.WAYSTONE_HOME = join(folder, 'no-home');
      expect((await run('devices', 'list', '--url', url)).code).toBe(0);
      environment.WAYSTONE_URL = url;
      expect((await run('devices', 'list')).code).toBe(0);
      environment.WAYSTONE_TOKEN = 'x'.repeat(43);
      expect(await run('devices', 'list')).toMatchObject({
        code: 2,
        err: expect.stringMatching(/^TOKEN_WRONG: /),
      });
    });

    it('never sends the token of this home to another machine', async () => {
      await initHome(home);
      const { code, err } = await run('status', '--url', 'http://gateway.example:8484');
      expect(code).toBe(2);
      expect(err).toMatch(/^TOKEN_MISSING: set WAYSTONE_TOKEN .*gateway\.example:8484/);
      expect((await run('status', '--url', 'ftp://x')).err).toMatch(/^URL_INVALID: /);
      expect((await run('status', '--url', 'http://me:pw@localhost')).err).toMatch(
        /^URL_INVALID: /,
      );
    });

    it.each([
      [200, 'text/html', '<html>'],
      [500, 'text/plain', 'oops'],
      [404, 'application/json', '{"error":"no"}'],
    ])('says that an answer %i %s %s is none of a gateway', async (status, type, body) => {
      await initHome(home);
      const server: Server = createServer((_, response) => {
        response.writeHead(status, { 'content-type': type }).end(body);
      });
      await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
      const { port } = server.address() as { port: number };
      const { code, err } = await run('status', '--url', `http://127.0.0.1:${port}`);
      await new Promise((done) => server.close(done));
      expect(code).toBe(1);
      expect(err).toMatch(/^ANSWER_INVALID: .*no Waystone gateway/);
    });
  });

  describe('start', () => {
    /** A gateway that runs until it is stopped. */
    function fakeGateway() {
      const state = {
        config: null as Config | null,
        stops: 0,
        onFatal: quiet as (e: Error) => void,
      };
      let started: () => void = quiet;
      const isUp = new Promise<void>((done) => {
        started = done;
      });
      parts.startGateway = async (config, options) => {
        state.config = config;
        state.onFatal = options.onFatal;
        options.logger.info({ port: 4321 }, 'gateway is up');
        started();
        return {
          mqttPort: 1883,
          httpPort: 4321,
          stop: async () => {
            state.stops += 1;
          },
        };
      };
      return { state, isUp };
    }

    it('runs until a signal, then stops once', async () => {
      await initHome(home);
      const { state, isUp } = fakeGateway();
      const ended = run('start', '--mqtt-port', '0', '--set', 'batch.ageSecondsMax=7');
      await isUp;
      await expect.poll(() => existsSync(join(home, 'http-address')), { timeout: 5000 }).toBe(true);
      expect(readFileSync(join(home, 'http-address'), 'utf8')).toBe('http://127.0.0.1:4321\n');
      expect(statSync(join(home, 'http-address')).mode & 0o777).toBe(0o600);
      parts.stop?.('SIGTERM');
      const { code, out } = await ended;
      expect(code).toBe(0);
      expect(state.stops).toBe(1);
      expect(state.config?.mqtt.port).toBe(0);
      expect(state.config?.batch.ageSecondsMax).toBe(7);
      expect(existsSync(join(home, 'http-address'))).toBe(false);
      expect(parts.stop).toBeNull();
      const lines = out
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line));
      expect(lines.map((line) => [line.level, line.msg])).toEqual([
        ['info', 'gateway is up'],
        ['info', 'stopping'],
        ['info', 'stopped'],
      ]);
      expect(lines[1].signal).toBe('SIGTERM');
      expect(out).not.toContain(await loadToken(home));
    });

    it('ends at once at the second signal', async () => {
      await initHome(home);
      const { state, isUp } = fakeGateway();
      const ended = run('start');
      await isUp;
      parts.stop?.('SIGINT');
      parts.stop?.('SIGINT');
      await ended;
      expect(parts.calls).toEqual([{ exit: 1 }]);
      expect(state.stops).toBe(1);
    });

    it('ends at once when the gateway does not know its state', async () => {
      await initHome(home);
      const { state, isUp } = fakeGateway();
      const ended = run('start');
      await isUp;
      state.onFatal(new Error('fsync failed'));
      expect(parts.calls).toEqual([{ exit: 1 }]);
      parts.stop?.('SIGTERM');
      expect((await ended).out).toContain('fsync failed');
    });

    it('hears a signal that comes during the start', async () => {
      await initHome(home);
      const { state } = fakeGateway();
      const { startGateway } = parts;
      parts.startGateway = async (config, options) => {
        parts.stop?.('SIGTERM');
        return await startGateway(config, options);
      };
      expect((await run('start')).code).toBe(0);
      expect(state.stops).toBe(1);
    });

    it('needs a home, and with --init makes it', async () => {
      const { isUp } = fakeGateway();
      const refused = await run('start');
      expect(refused.code).toBe(2);
      expect(refused.err).toMatch(/^HOME_MISSING: .*waystone init/);
      expect(existsSync(home)).toBe(false);
      const ended = run('start', '--init');
      await isUp;
      parts.stop?.('SIGTERM');
      const { code, err } = await ended;
      expect(code).toBe(0);
      expect(err).toContain(join(home, 'waystone.toml'));
      expect(existsSync(join(home, 'keys', 'gateway.key'))).toBe(true);
    });

    it('names a wrong setting and its flag before anything starts', async () => {
      await initHome(home);
      const { state } = fakeGateway();
      const { code, err } = await run('start', '--mqtt-port', '99999');
      expect(code).toBe(2);
      expect(err).toBe(
        'CONFIG_INVALID: mqtt.port is 99999 (flag --mqtt-port), allowed is an integer from 0 to 65535\n',
      );
      expect(state.config).toBeNull();
    });

    it('passes on why the gateway cannot start', async () => {
      await initHome(home);
      parts.startGateway = async () => {
        throw new WaystoneError('PORT_TAKEN', 'taken by mosquitto (pid 1)');
      };
      expect(await run('start')).toEqual({
        code: 1,
        out: '',
        err: 'PORT_TAKEN: taken by mosquitto (pid 1)\n',
      });
      expect(parts.stop).toBeNull();
    });

    it('shows people the link to the status page, and readable logs', async () => {
      await initHome(home);
      isTty = true;
      environment.NO_COLOR = '1';
      const { isUp } = fakeGateway();
      const ended = run('start');
      await isUp;
      parts.stop?.('SIGTERM');
      const { out } = await ended;
      expect(out).toContain(`http://127.0.0.1:4321/#token=${await loadToken(home)}\n`);
      expect(out).toMatch(/^\d\d:\d\d:\d\d\.\d{3} INFO {2}gateway is up {2}port=4321$/m);
    });
  });
});
