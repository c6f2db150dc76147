import {
  mkdtempSync,
  readdirSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { request } from 'node:http';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { didFromKey } from '@waystone/proto';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { testKeyNamed } from '../../proto/test-data/test-signer.js';
import { WaystoneError } from '../core/errors.js';
import type { Logger } from '../core/logger.js';
import { type HttpServer, startHttp } from './http-server.js';
import { exampleBatch, exampleDataset, MemoryGatewayView, NOW_US } from './memory-view.js';

const TOKEN = 'correct-horse-battery-staple-0123456789';
const DID = 'did:key:zQ3shokFTS3brHcDQrn82RUDfCZESWL1ZdCEJwekUDPQiYBme';
const SESSION = '0f'.repeat(16);
const ROOT = 'ab'.repeat(32);

/** Collects log lines; what must never be logged is looked for in them. */
class MemoryLogger implements Logger {
  readonly lines: { level: string; fields: object; message: string }[] = [];
  trace = (fields: object, message: string) => this.#add('trace', fields, message);
  debug = (fields: object, message: string) => this.#add('debug', fields, message);
  info = (fields: object, message: string) => this.#add('info', fields, message);
  warn = (fields: object, message: string) => this.#add('warn', fields, message);
  error = (fields: object, message: string) => this.#add('error', fields, message);
  #add(level: string, fields: object, message: string) {
    this.lines.push({ level, fields, message });
  }
}

describe('HTTP API', () => {
  let folder: string;
  let view: MemoryGatewayView;
  let logger: MemoryLogger;
  let server: HttpServer;
  let base: string;

  beforeEach(async () => {
    folder = mkdtempSync(join(tmpdir(), 'waystone-answers-'));
    view = new MemoryGatewayView();
    logger = new MemoryLogger();
    server = await startHttp({ host: '127.0.0.1', port: 0, token: TOKEN, view, logger });
    base = `http://127.0.0.1:${server.port}`;
  });
  afterEach(async () => {
    await server.close();
    rmSync(folder, { recursive: true, force: true });
  });

  const ask = (path: string, init: RequestInit = {}) =>
    fetch(`${base}${path}`, {
      ...init,
      headers: { authorization: `Bearer ${TOKEN}`, ...init.headers },
    });
  const post = (path: string, body: unknown) =>
    ask(path, { method: 'POST', body: typeof body === 'string' ? body : JSON.stringify(body) });
  const expectError = async (response: Response, status: number, code: string) => {
    expect(response.status).toBe(status);
    const body = (await response.json()) as { error: { code: string; message: string } };
    expect(body).toEqual({ error: { code, message: expect.stringMatching(/\S/) } });
    return body.error.message;
  };

  describe('access', () => {
    it.each([
      'GET /v1/status',
      'GET /v1/devices',
      'POST /v1/devices',
      `DELETE /v1/devices/${DID}`,
      'GET /v1/relays',
      'POST /v1/relays',
      'PUT /v1/relays/depot/devices',
      'DELETE /v1/relays/depot',
      'GET /v1/forge',
      'POST /v1/forge/retry',
      'POST /v1/forge/pause',
      'POST /v1/forge/resume',
      'GET /v1/batches',
      'POST /v1/batches/seal',
      'GET /v1/batches/1',
      'GET /v1/datasets',
      `GET /v1/datasets/${ROOT}`,
      `GET /v1/datasets/${ROOT}/files/frames`,
      `GET /v1/proofs/${DID}/${SESSION}/1/0`,
      'GET /v1/refusals',
      'POST /v1/backup',
      'GET /metrics',
      'GET /v1/nothing',
    ])('wants the token for %s', async (route) => {
      const [method = '', path = ''] = route.split(' ');
      const bare = await fetch(`${base}${path}`, { method });
      await expectError(bare, 401, 'TOKEN_MISSING');
      expect(bare.headers.get('www-authenticate')).toContain('Bearer');
      for (const wrong of [TOKEN.slice(1), `${TOKEN}x`, 'x', TOKEN.toUpperCase()]) {
        const headers = { authorization: `Bearer ${wrong}` };
        await expectError(await fetch(`${base}${path}`, { method, headers }), 401, 'TOKEN_WRONG');
      }
      const basic = { authorization: `Basic ${btoa(`x:${TOKEN}`)}` };
      await expectError(
        await fetch(`${base}${path}`, { method, headers: basic }),
        401,
        'TOKEN_MISSING',
      );
    });

    it('does nothing for who has no token', async () => {
      view.batchRows = [exampleBatch()];
      await fetch(`${base}/v1/batches/seal`, { method: 'POST' });
      await fetch(`${base}/v1/devices`, { method: 'POST', body: JSON.stringify({ did: DID }) });
      expect(view.batchRows[0]?.state).toBe('open');
      expect(view.deviceRows.size).toBe(0);
    });

    it.each(['/', '/assets/page.css', '/assets/page.js', '/healthz', '/readyz'])(
      'serves %s to anyone, with the security headers',
      async (path) => {
        const response = await fetch(`${base}${path}`);
        expect(response.status).toBe(200);
        expect(response.headers.get('content-security-policy')).toMatch(
          /^default-src 'none'; script-src 'self';/,
        );
        expect(response.headers.get('content-security-policy')).not.toContain('unsafe');
        expect(response.headers.get('x-content-type-options')).toBe('nosniff');
        expect(response.headers.get('x-frame-options')).toBe('DENY');
        expect(response.headers.get('referrer-policy')).toBe('no-referrer');
        expect(response.headers.get('cache-control')).toBe('no-store');
        expect(response.headers.get('access-control-allow-origin')).toBeNull();
      },
    );

    const askHost = (host: string, path = '/healthz') =>
      new Promise<number>((done, fail) => {
        request({ host: '127.0.0.1', port: server.port, path, headers: { host } }, (response) => {
          response.resume();
          done(response.statusCode ?? 0);
        })
          .on('error', fail)
          .end();
      });

    it('answers on loopback to its own names alone', async () => {
      for (const own of ['localhost', 'LOCALHOST:80', '127.0.0.1', `127.0.0.1:${server.port}`]) {
        expect(await askHost(own), own).toBe(200);
      }
      for (const foreign of ['evil.example', 'localhost.evil.example', '127.0.0.1.evil.example']) {
        expect(await askHost(foreign), foreign).toBe(421);
        expect(await askHost(foreign, '/'), foreign).toBe(421);
      }
    });

    it('answers to the name under which others reach it', async () => {
      await server.close();
      const publicUrl = 'https://gateway.example:8443/fleet';
      server = await startHttp({
        host: '127.0.0.1',
        port: 0,
        publicUrl,
        token: TOKEN,
        view,
        logger,
      });
      expect(await askHost('gateway.example')).toBe(200);
      expect(await askHost('other.example')).toBe(421);
    });

    it('answers to any name when it is open to the network', async () => {
      await server.close();
      server = await startHttp({ host: '0.0.0.0', port: 0, token: TOKEN, view, logger });
      expect(await askHost('gateway.example')).toBe(200);
    });

    it('never logs the token', async () => {
      view.failure = new Error('broken');
      await ask('/v1/status');
      await post('/v1/devices', { did: DID });
      expect(logger.lines.length).toBeGreaterThan(0);
      expect(JSON.stringify(logger.lines)).not.toContain(TOKEN);
    });
  });

  describe('answers', () => {
    it('tells status, devices, batches, datasets and refusals as the gateway sees them', async () => {
      view.batchRows = [1, 2, 3].map((id) => exampleBatch({ id }));
      view.datasetRows = [exampleDataset()];
      view.refusalRows = [
        { atUs: NOW_US, did: DID, code: 'SIGNATURE_INVALID', statement: '00', detail: 'wrong' },
      ];
      await view.enrol(DID, 'car');
      expect(await (await ask('/v1/status')).json()).toEqual(view.statusRow);
      expect(await (await ask('/v1/devices')).json()).toEqual({
        devices: [...view.deviceRows.values()],
      });
      expect(await (await ask('/v1/batches?limit=2')).json()).toEqual({
        batches: [view.batchRows[2], view.batchRows[1]],
      });
      expect(await (await ask('/v1/batches/2')).json()).toEqual(view.batchRows[1]);
      expect(await (await ask('/v1/datasets')).json()).toEqual({ datasets: view.datasetRows });
      expect(await (await ask(`/v1/datasets/${ROOT.toUpperCase()}`)).json()).toMatchObject({
        root: ROOT,
        manifest: { root: ROOT },
      });
      expect(await (await ask('/v1/refusals')).json()).toEqual({ refusals: view.refusalRows });
    });

    it('tells devices a page at a time, in the order in which they were enrolled', async () => {
      const dids = [
        DID,
        ...['a', 'b', 'c'].map((name) => didFromKey(testKeyNamed('Ed25519', name).publicKey)),
      ];
      for (const did of dids) await view.enrol(did, '');
      const page = async (query: string): Promise<string[]> => {
        const body = (await (await ask(`/v1/devices${query}`)).json()) as {
          devices: { did: string }[];
        };
        return body.devices.map(({ did }) => did);
      };
      expect(await page('')).toEqual(dids);
      expect(await page('?limit=2')).toEqual(dids.slice(0, 2));
      expect(await page(`?limit=2&after=${dids[1]}`)).toEqual(dids.slice(2));
      expect(await page(`?after=${dids[3]}`)).toEqual([]);
      const unknown = didFromKey(testKeyNamed('Ed25519', 'unknown').publicKey);
      await expectError(await ask(`/v1/devices?after=${unknown}`), 404, 'DEVICE_UNKNOWN');
      await expectError(await ask('/v1/devices?after=x'), 400, 'DID_INVALID');
    });

    it('enrols a device once and revokes it', async () => {
      const created = await post('/v1/devices', { did: DID, label: ' car 7 ' });
      expect(created.status).toBe(201);
      expect(await created.json()).toMatchObject({ did: DID, label: 'car 7', revokedAtUs: null });
      await expectError(await post('/v1/devices', { did: DID }), 409, 'DEVICE_EXISTS');
      const revoked = await ask(`/v1/devices/${encodeURIComponent(DID)}?reason=stolen`, {
        method: 'DELETE',
      });
      expect(await revoked.json()).toMatchObject({ did: DID, revokedAtUs: NOW_US });
      view.deviceRows.clear();
      await expectError(
        await ask(`/v1/devices/${DID.slice('did:key:'.length)}`, { method: 'DELETE' }),
        404,
        'DEVICE_UNKNOWN',
      );
    });

    it('adds a relay once, tells its secret then and never again, and removes it', async () => {
      await post('/v1/devices', { did: DID });
      const created = await post('/v1/relays', { name: 'depot-7', devices: [DID] });
      expect(created.status).toBe(201);
      const relay = { name: 'depot-7', did: null, devices: [DID], addedAtUs: NOW_US };
      expect(await created.json()).toEqual({
        ...relay,
        connected: false,
        secret: expect.stringMatching(/^.{43}$/),
      });
      await expectError(
        await post('/v1/relays', { name: 'depot-7', devices: 'all' }),
        409,
        'RELAY_EXISTS',
      );
      const second = await post('/v1/relays', { name: 'box', did: DID, devices: 'all' });
      expect(await second.json()).toMatchObject({ did: DID, devices: null, secret: null });
      const { relays } = (await (await ask('/v1/relays')).json()) as { relays: object[] };
      expect(relays).toHaveLength(2);
      expect(JSON.stringify(relays)).not.toContain('secret');
      const put = (name: string, devices: unknown) =>
        ask(`/v1/relays/${name}/devices`, { method: 'PUT', body: JSON.stringify({ devices }) });
      const changed = await (await put('depot-7', 'all')).json();
      expect(changed).toEqual({ ...relay, devices: null, connected: false });
      expect(await (await put('depot-7', [DID])).json()).toMatchObject(relay);
      await expectError(await put('other', 'all'), 404, 'RELAY_UNKNOWN');
      await expectError(await put('depot-7', []), 400, 'PARAMETER_INVALID');
      const removed = await ask('/v1/relays/depot-7', { method: 'DELETE' });
      expect(await removed.json()).toMatchObject(relay);
      await expectError(
        await ask('/v1/relays/depot-7', { method: 'DELETE' }),
        404,
        'RELAY_UNKNOWN',
      );
    });

    it('tells how datasets go on chain, and pauses that on request', async () => {
      expect(await (await ask('/v1/forge')).json()).toEqual(view.forgeRow);
      expect(await (await post('/v1/forge/pause', '')).json()).toMatchObject({ isPaused: true });
      expect(await (await post('/v1/forge/retry', '')).json()).toMatchObject({ isPaused: true });
      expect(await (await ask('/v1/forge')).json()).toMatchObject({ isPaused: true });
      expect(await (await post('/v1/forge/resume', '')).json()).toMatchObject({ isPaused: false });
    });

    it('closes open batches on request', async () => {
      view.batchRows = [exampleBatch({ id: 4 }), exampleBatch({ id: 3, state: 'sealed' })];
      expect(await (await post('/v1/batches/seal', '')).json()).toEqual({ batches: [4] });
      expect(await (await post('/v1/batches/seal', '')).json()).toEqual({ batches: [] });
    });

    it('tells a proved, a waiting and an absent frame apart', async () => {
      const path = (sequence: number) => `/v1/proofs/${DID}/${SESSION.toUpperCase()}/1/${sequence}`;
      view.proofs.set(`${DID}/${SESSION}/1/0`, {
        state: 'proved',
        root: ROOT,
        proof: { type: 'waystone-proof' },
      });
      view.proofs.set(`${DID}/${SESSION}/1/${Number.MAX_SAFE_INTEGER}`, {
        state: 'waiting',
        batch: 9,
        waitsFor: 'its batch is open',
      });
      const proved = await ask(path(0));
      expect(proved.status).toBe(200);
      expect(await proved.json()).toEqual({ type: 'waystone-proof' });
      const waiting = await ask(path(Number.MAX_SAFE_INTEGER));
      expect(waiting.status).toBe(202);
      expect(await waiting.json()).toEqual({
        state: 'waiting',
        batch: 9,
        waitsFor: 'its batch is open',
      });
      await expectError(await ask(path(1)), 404, 'FRAME_UNKNOWN');
    });

    it('writes a backup into a new folder only', async () => {
      const target = join(folder, 'backup');
      expect(await (await post('/v1/backup', { folder: target })).json()).toEqual({
        folder: target,
        datasets: 0,
        bytes: 6,
      });
      await expectError(await post('/v1/backup', { folder: target }), 409, 'BACKUP_EXISTS');
    });

    it('is alive while it is not ready, and says why', async () => {
      view.unready = 'the ledger is being opened';
      expect((await fetch(`${base}/healthz`)).status).toBe(200);
      const message = await expectError(await fetch(`${base}/readyz`), 503, 'NOT_READY');
      expect(message).toBe('the ledger is being opened');
    });

    it('passes metrics on in the Prometheus text format', async () => {
      const response = await ask('/metrics');
      expect(response.headers.get('content-type')).toBe('text/plain; version=0.0.4; charset=utf-8');
      expect(await response.text()).toContain('frames_total 128');
    });
  });

  describe('dataset files', () => {
    const big = Buffer.alloc(300_000, 'frame bytes ');
    beforeEach(() => {
      writeFileSync(join(folder, 'manifest.json'), '{"type":"waystone-dataset"}');
      writeFileSync(join(folder, 'frames'), big);
      writeFileSync(join(folder, 'entries'), '');
      writeFileSync(join(folder, 'secret'), 'secret');
      symlinkSync(join(folder, 'secret'), join(folder, 'devices'));
      view.datasetRows = [exampleDataset({ folder })];
    });
    const files = `/v1/datasets/${ROOT}/files`;
    const openFiles = () =>
      readdirSync('/proc/self/fd').filter((descriptor) => {
        try {
          return readlinkSync(`/proc/self/fd/${descriptor}`).startsWith(folder);
        } catch {
          return false;
        }
      });

    it('are served byte for byte', async () => {
      const frames = await ask(`${files}/frames`);
      expect(frames.headers.get('content-length')).toBe('300000');
      expect(frames.headers.get('content-type')).toBe('application/octet-stream');
      expect(Buffer.from(await frames.arrayBuffer()).equals(big)).toBe(true);
      const manifest = await ask(`${files}/manifest.json`);
      expect(manifest.headers.get('content-type')).toBe('application/json');
      expect(await manifest.json()).toEqual({ type: 'waystone-dataset' });
      expect(await (await ask(`${files}/entries`)).text()).toBe('');
      expect(await (await ask(`${files}/frames`, { method: 'HEAD' })).text()).toBe('');
    });

    it.each([
      'secret',
      'devices',
      'checkpoint',
      '..%2fsecret',
      '%2e%2e%2f%2e%2e%2fetc%2fpasswd',
      '..%5csecret',
      'frames%00',
      '.',
      'MANIFEST.JSON',
      'constructor',
    ])('cannot be used to reach %s', async (name) => {
      const response = await ask(`${files}/${name}`);
      expect(response.status).toBe(404);
      expect(await response.text()).not.toContain('root:');
    });

    it('are entries for everybody who knows the root, without the token', async () => {
      writeFileSync(join(folder, 'entries'), 'all entries');
      const answer = await fetch(`${base}/entries/${ROOT}`);
      expect(answer.status).toBe(200);
      expect(await answer.text()).toBe('all entries');
      const head = await fetch(`${base}/entries/${ROOT}`, { method: 'HEAD' });
      expect(head.headers.get('content-length')).toBe('11');
      await expectError(await fetch(`${base}/entries/${'00'.repeat(32)}`), 404, 'DATASET_UNKNOWN');
      await expectError(await fetch(`${base}/entries/..%2fsecret`), 400, 'PARAMETER_INVALID');
      await expectError(
        await fetch(`${base}/entries/${ROOT}`, { method: 'POST' }),
        405,
        'METHOD_UNSUPPORTED',
      );
    });

    it('are metadata for everybody, by the id of the token', async () => {
      view.metadataFolder = folder;
      writeFileSync(join(folder, '123.json'), '{"name":"a"}');
      const answer = await fetch(`${base}/metadata/123.json`);
      expect(answer.headers.get('content-type')).toBe('application/json');
      expect(await answer.json()).toEqual({ name: 'a' });
      await expectError(await fetch(`${base}/metadata/124.json`), 404, 'FILE_UNKNOWN');
      for (const name of ['manifest.json', '123', '..%2f123.json', `${'1'.repeat(79)}.json`]) {
        await expectError(await fetch(`${base}/metadata/${name}`), 400, 'PARAMETER_INVALID');
      }
    });

    it('of unknown datasets are not there', async () => {
      const other = `/v1/datasets/${'00'.repeat(32)}`;
      await expectError(await ask(`${other}/files/frames`), 404, 'DATASET_UNKNOWN');
      await expectError(await ask(other), 404, 'DATASET_UNKNOWN');
    });

    it.runIf(process.platform === 'linux')('are closed when the client leaves early', async () => {
      writeFileSync(join(folder, 'frames'), Buffer.alloc(64 * 1024 * 1024));
      await new Promise<void>((done, fail) => {
        const headers = { authorization: `Bearer ${TOKEN}` };
        const asked = request(`${base}${files}/frames`, { headers }, (response) => {
          response.once('data', () => {
            expect(openFiles()).toHaveLength(1);
            asked.destroy();
            done();
          });
        });
        asked.on('error', fail).end();
      });
      await expect.poll(openFiles, { timeout: 5000 }).toEqual([]);
      await ask(`${files}/frames`, { method: 'HEAD' });
      expect(openFiles()).toEqual([]);
    });
  });

  describe('bad input', () => {
    it.each([
      ['/v1/batches?limit=0', 'limit must be an integer from 1 to 1000'],
      ['/v1/batches?limit=1001', 'limit'],
      ['/v1/batches?limit=1e2', 'limit'],
      ['/v1/refusals?limit=-1', 'limit'],
      ['/v1/datasets?limit=1001', 'limit'],
      ['/v1/devices?limit=1001', 'limit'],
      ['/v1/batches/x', 'batch must be an integer'],
      ['/v1/batches/99999999999999999999', 'batch must be an integer'],
      ['/v1/datasets/abc', 'root must be 64 hex digits'],
      [`/v1/datasets/${'g'.repeat(64)}`, 'root must be 64 hex digits'],
      [`/v1/proofs/${DID}/00/1/0`, 'session must be 32 hex digits'],
      [`/v1/proofs/${DID}/${SESSION}/4294967296/0`, 'stream must be an integer'],
      [`/v1/proofs/${DID}/${SESSION}/1/9007199254740992`, 'sequence must be an integer'],
      [`/v1/proofs/${DID}/${SESSION}/1/-1`, 'sequence must be an integer'],
    ])('%s is 400 and says what is allowed', async (path, message) => {
      expect(await expectError(await ask(path), 400, 'PARAMETER_INVALID')).toContain(message);
    });

    it.each(['did:web:x', 'zzz', 'did:key:z6Mk', '%E0%A4%A', `${DID}x`, 'z'.repeat(65)])(
      'the device %j is 400',
      async (did) => {
        await expectError(await ask(`/v1/proofs/${did}/${SESSION}/1/0`), 400, 'DID_INVALID');
        await expectError(
          await ask(`/v1/devices/${did}`, { method: 'DELETE' }),
          400,
          'DID_INVALID',
        );
        await expectError(await post('/v1/devices', { did }), 400, 'DID_INVALID');
      },
    );

    it.each([
      ['', 'BODY_INVALID', 'not JSON'],
      ['{', 'BODY_INVALID', 'not JSON'],
      ['[]', 'BODY_INVALID', 'must be a JSON object'],
      ['null', 'BODY_INVALID', 'must be a JSON object'],
      ['"x"', 'BODY_INVALID', 'must be a JSON object'],
      ['{}', 'DID_INVALID', 'did:key'],
      ['{"did":5}', 'DID_INVALID', 'did:key'],
      [JSON.stringify({ did: DID, lable: 'x' }), 'BODY_INVALID', '"lable"; known are did, label'],
      [JSON.stringify({ did: DID, label: 5 }), 'PARAMETER_INVALID', 'label must be text'],
      [JSON.stringify({ did: DID, label: 'a\nb' }), 'PARAMETER_INVALID', 'control characters'],
      [JSON.stringify({ did: DID, label: 'x'.repeat(201) }), 'PARAMETER_INVALID', '200'],
    ])('the body %j is 400', async (body, code, message) => {
      expect(await expectError(await post('/v1/devices', body), 400, code)).toContain(message);
      expect(view.deviceRows.size).toBe(0);
    });

    it.each([
      [{ devices: 'all' }, 'PARAMETER_INVALID', 'relay must be a name'],
      [{ name: 'Depot', devices: 'all' }, 'PARAMETER_INVALID', 'a-z'],
      [{ name: 'a/b', devices: 'all' }, 'PARAMETER_INVALID', 'a-z'],
      [{ name: 'x'.repeat(33), devices: 'all' }, 'PARAMETER_INVALID', '32'],
      [{ name: 'depot' }, 'PARAMETER_INVALID', '"all" or a list'],
      [{ name: 'depot', devices: [] }, 'PARAMETER_INVALID', '"all" or a list'],
      [{ name: 'depot', devices: 'some' }, 'PARAMETER_INVALID', '"all" or a list'],
      [{ name: 'depot', devices: ['x'] }, 'DID_INVALID', 'did:key'],
      [{ name: 'depot', devices: Array(1001).fill('x') }, 'PARAMETER_INVALID', '1000'],
      [{ name: 'depot', devices: 'all', did: 'x' }, 'DID_INVALID', 'did:key'],
      [{ name: 'depot', devices: 'all', secret: 'x' }, 'BODY_INVALID', '"secret"'],
    ])('the relay %j is 400', async (body, code, message) => {
      expect(await expectError(await post('/v1/relays', body), 400, code)).toContain(message);
      expect(view.relayRows.size).toBe(0);
    });

    it.each([undefined, '', 'relative', '../x', '/a\u0000b', 7])(
      'the backup folder %j is 400',
      async (target) => {
        await expectError(await post('/v1/backup', { folder: target }), 400, 'PARAMETER_INVALID');
      },
    );

    it('a body over 64 KiB is 413, with and without a length', async () => {
      const large = 'x'.repeat(70_000);
      await expectError(await post('/v1/devices', large), 413, 'BODY_TOO_LARGE');
      const chunked = new ReadableStream({
        start(controller) {
          controller.enqueue(new TextEncoder().encode(large));
          controller.close();
        },
      });
      const init = { method: 'POST', body: chunked, duplex: 'half' } as RequestInit;
      await expectError(await ask('/v1/devices', init), 413, 'BODY_TOO_LARGE');
    });

    it('an unknown route lists those there are, a wrong method those it knows', async () => {
      const message = await expectError(await ask('/v1/batch'), 404, 'ROUTE_UNKNOWN');
      for (const route of ['/v1/status', '/v1/batches/:id', '/healthz', '/metrics', '/v1/backup']) {
        expect(message).toContain(route);
      }
      const wrong = await ask('/v1/status', { method: 'PUT' });
      expect(wrong.headers.get('allow')).toBe('GET');
      await expectError(wrong, 405, 'METHOD_UNSUPPORTED');
      const twoMethods = await ask('/v1/devices', { method: 'PATCH' });
      expect(twoMethods.headers.get('allow')).toBe('GET, POST');
    });

    it.each([
      'GET / HTTP/1.1\r\n\r\n',
      'GET http://[ HTTP/1.1\r\nHost: localhost\r\n\r\n',
      'GET //evil.example/%2e%2e HTTP/1.1\r\nHost: localhost\r\n\r\n',
      'GET * HTTP/1.1\r\nHost: localhost\r\n\r\n',
      'CONNECT localhost:80 HTTP/1.1\r\nHost: localhost\r\n\r\n',
      'GET / HTTP/1.1\r\nHost: a b\r\n\r\n',
      'GET / HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n',
      `GET / HTTP/1.1\r\nHost: localhost\r\nX: ${'x'.repeat(40_000)}\r\n\r\n`,
      'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n',
      '\u0016\u0003\u0001\u0000',
    ])('survives the raw request %j', async (raw) => {
      await new Promise<void>((done) => {
        const socket = connect(server.port, '127.0.0.1', () => socket.end(raw));
        socket.on('error', () => done()).on('close', () => done());
        socket.resume();
      });
      expect((await fetch(`${base}/healthz`)).status).toBe(200);
    });
  });

  describe('failures of the gateway', () => {
    it('are 500 and logged, with the next request unharmed', async () => {
      view.failure = new Error('ledger thread ended');
      expect(await expectError(await ask('/v1/status'), 500, 'INTERNAL')).toContain(
        'ledger thread ended',
      );
      expect(logger.lines).toMatchObject([{ level: 'error', fields: { path: '/v1/status' } }]);
      view.failure = null;
      expect((await ask('/v1/status')).status).toBe(200);
    });

    it.each([
      ['STOPPING', 503],
      ['OVERLOADED', 503],
      ['DISK_FULL', 507],
      ['LEDGER_CORRUPT', 500],
    ])('with code %s are %i', async (code, status) => {
      view.failure = new WaystoneError(code, 'what it is');
      expect(await expectError(await ask('/v1/devices'), status, code)).toBe('what it is');
    });
  });

  it('names the holder of a taken port', async () => {
    const { port } = server;
    await expect(
      startHttp({ host: '127.0.0.1', port, token: TOKEN, view, logger }),
    ).rejects.toMatchObject({
      code: 'PORT_TAKEN',
      message: expect.stringMatching(/taken by .*(pid \d+|unknown process).*http\.port/),
    });
  });

  it('ends though a client keeps its connection open, and twice is the same', async () => {
    const socket = connect(server.port, '127.0.0.1');
    await new Promise((done) => socket.once('connect', done));
    socket.on('error', () => undefined);
    await Promise.all([server.close(), server.close()]);
    await expect(fetch(`${base}/healthz`)).rejects.toThrow('fetch failed');
    socket.destroy();
  });

  it('serves a page that loads nothing from elsewhere', async () => {
    const page = await (await fetch(`${base}/`)).text();
    const script = await (await fetch(`${base}/assets/page.js`)).text();
    const links = [...page.matchAll(/(?:src|href)="([^"]*)"/g)].map((match) => match[1]);
    expect(links.length).toBeGreaterThanOrEqual(3);
    for (const link of links) expect(link).toMatch(/^(\/assets\/|data:image\/svg)/);
    expect(page).not.toMatch(/<style|<script>|\son\w+=|\sstyle=/);
    expect(script).not.toMatch(/innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(/);
    const ids = [...script.matchAll(/'#([a-z-]+)(?: [^']*)?'/g)].map((match) => match[1]);
    for (const id of ids) expect(page, id).toContain(`id="${id}"`);
  });
});
