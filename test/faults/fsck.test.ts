import { spawn } from 'node:child_process';
import { randomInt } from 'node:crypto';
import { once } from 'node:events';
import {
  appendFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  truncateSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { LOCAL_REALM } from '@waystone/proto';
import Database from 'better-sqlite3';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { FsckCode } from '../../gateway/fsck/codes.js';
import { type FsckResult, fsck } from '../../gateway/fsck/fsck.js';
import { renderFsck } from '../../gateway/fsck/render.js';
import { REDO_FILE, RedoFile } from '../../gateway/ledger/redo-file.js';
import { SCHEMA_VERSION } from '../../gateway/ledger/schema.js';
import type { SEAL_CRASH_POINTS } from '../../gateway/seal/sealer.js';
import { TestDevice } from '../harness/device.js';
import { GatewayProcess, makeHome, removeHome, startInProcess } from '../harness/gateway.js';
import { DeviceClient } from '../harness/mqtt.js';
import { waitFor } from '../harness/wait.js';
import { sealAndForge } from './at-rest.js';
import { RawPublisher } from './fleet.js';
import { freePorts } from './free-ports.js';
import {
  changeLedger,
  copyHome,
  hashesBelow,
  ledgerValue,
  makeScene,
  removeCopy,
  SCENE_OPTIONS,
  type Scene,
} from './fsck-scene.js';
import { expectKept } from './kept.js';
import { PublishingRecord } from './publishing-record.js';
import { randomFrom } from './random.js';
import { pendingRedo } from './redo-pending.js';

let scene: Scene;
/** A copy of the scene that was repaired. */
let tidy = '';
let home = '';

beforeAll(async () => {
  scene = await makeScene();
  // Nothing is left over in it, so that whatever is found was put there.
  tidy = copyHome(scene.home);
  await fsck({ home: tidy, dataFolder: join(tidy, 'data'), repair: true });
});

afterAll(async () => {
  await removeHome(scene.home);
  removeCopy(tidy);
});

afterEach(() => {
  if (home !== '') removeCopy(home);
  home = '';
});

const data = (...names: string[]): string => join(home, 'data', ...names);

function check(options: { repair?: boolean; quick?: boolean } = {}): Promise<FsckResult> {
  return fsck({ home, dataFolder: data(), ...options });
}

/** Codes of the findings of a kind, each once, sorted. */
function codes(result: FsckResult, ...severities: string[]): FsckCode[] {
  const found = result.findings.filter(({ severity }) => severities.includes(severity));
  return [...new Set(found.map(({ code }) => code))].sort();
}

/** Without the counters: whether they count a row that was damaged already is a matter of time. */
function faultsOf(result: FsckResult): FsckCode[] {
  return codes(result, 'fault').filter((code) => code !== 'COUNTERS_WRONG');
}

function flip(file: string, at: number): void {
  const bytes = readFileSync(file);
  const place = at < 0 ? bytes.length + at : at;
  bytes[place] = (bytes[place] as number) ^ 1;
  writeFileSync(file, bytes);
}

const rootOf = (batch: number): string =>
  ledgerValue(home, `SELECT lower(hex(root)) FROM batches WHERE id = ${batch}`);
const dataset = (batch: number, ...names: string[]): string =>
  data('datasets', rootOf(batch), ...names);
/** The open batch. */
const OPEN = 2;
const SEALED = 3;
const FORGED = 1;
const batchFileOf = (batch: number): string => data('batches', `${batch}`);

/** Steps of sealing that leave different things behind, in their order. */
const SEALING: readonly (typeof SEAL_CRASH_POINTS)[number][] = [
  'seal:written',
  'seal:published',
  'seal:logged',
  'seal:signed',
];

it('reads what a power cut took from a batch file where the ledger holds it', async () => {
  home = copyHome(tidy);
  const file = batchFileOf(OPEN);
  const bytes = readFileSync(file);
  const at = bytes.length - 1000;
  const held = bytes.subarray(at).toString('hex');
  changeLedger(home, `INSERT INTO unsynced VALUES (${OPEN}, ${at}, x'${held}')`);
  writeFileSync(file, bytes.subarray(0, at));
  expect(faultsOf(await check())).toEqual([]);
  // What it holds is not enough.
  writeFileSync(file, bytes.subarray(0, at - 1));
  expect(faultsOf(await check())).toEqual(['BATCH_FILE_SHORT']);
});

describe('a gateway that was killed', () => {
  it('leaves a folder that is clean, and fsck changes nothing in it', async () => {
    home = copyHome(scene.home);
    const before = hashesBelow(home);
    const result = await check();
    console.log(renderFsck(result));
    expect(codes(result, 'fault', 'note')).toEqual([]);
    expect(result).toMatchObject({ result: 'clean', exitCode: 0 });
    expect(result.checks.map(({ status }) => status)).toEqual(result.checks.map(() => 'passed'));
    expect(hashesBelow(home)).toEqual(before);
    const counts = Object.fromEntries(result.checks.map(({ name, counts }) => [name, counts]));
    expect(counts).toMatchObject({
      devices: { devices: 3, relays: 1, refusals: 1 },
      log: { logs: 1, records: 2 },
      batches: { open: 1, sealed: 1, forged: 1 },
      statements: { statements: scene.stored.length },
      receipts: { receipts: scene.stored.length },
      'batch files': { files: 1, entries: 3 },
      datasets: { folders: 2, entries: 7 },
      forging: { tokens: 1 },
    });
  });

  it('goes on after a repair as if there had been none: the same receipts, and all is forged', async () => {
    home = copyHome(scene.home);
    const repaired = await check({ repair: true });
    expect(repaired).toMatchObject({ result: 'clean', exitCode: 0 });
    expect(statSync(data('ledger.sqlite-wal'), { throwIfNoEntry: false })?.size ?? 0).toBe(0);
    const again = await check();
    expect(again.findings).toEqual([]);
    const gateway = await GatewayProcess.start(home, SCENE_OPTIONS);
    let lost = 0;
    try {
      for (const device of new Set(scene.stored.map(({ device }) => device))) {
        const client = await DeviceClient.open(gateway, device);
        for (const { payload, receipt } of scene.stored.filter((one) => one.device === device)) {
          const { bytes } = await client.deliver(payload);
          if (Buffer.compare(bytes, receipt) !== 0) lost += 1;
        }
        client.raw.cut();
      }
      expect(await sealAndForge(gateway)).toBe(3);
    } finally {
      await gateway.stop();
    }
    const end = await check();
    const statements = end.checks.find(({ name }) => name === 'statements')?.counts.statements ?? 0;
    console.log(`acked but lost: ${lost}, stored twice: ${statements - scene.stored.length}`);
    expect(lost).toBe(0);
    expect(statements).toBe(scene.stored.length);
    expect(end.findings).toEqual([]);
  });

  it('while it sealed leaves a folder that is clean, and goes on after a repair', async () => {
    home = await makeHome();
    const options = { network: 'none' as const, set: ['batch.ageSecondsMax=3600'] };
    let device: TestDevice | undefined;
    const seen: string[] = [];
    for (const point of SEALING) {
      const killed = await GatewayProcess.start(home, {
        ...options,
        environment: { WAYSTONE_TEST_CRASH_AT: point },
      });
      if (device === undefined) {
        device = new TestDevice(killed.did);
        await killed.enrol(device.did);
        const client = await DeviceClient.open(killed, device);
        await client.deliver(await device.envelope());
      }
      // The same batch each time: after the first, a start goes on where the last one was killed.
      await killed.ask('POST', '/v1/batches/seal').catch(() => undefined);
      expect(await killed.exited).toMatchObject({ signal: 'SIGKILL' });
      const result = await check();
      seen.push(`${point}: ${codes(result, 'leftover', 'note').join(' ')}`);
      expect(codes(result, 'fault')).toEqual([]);
      expect(await check({ repair: true })).toMatchObject({ exitCode: 0 });
      expect(codes(await check(), 'fault', 'leftover')).toEqual([]);
    }
    console.log(seen.join('\n'));
    const gateway = await startInProcess(home, options);
    await gateway.seal();
    await gateway.stop();
    const end = await check();
    expect(end.findings).toEqual([]);
    expect(end.checks.find(({ name }) => name === 'datasets')?.counts).toEqual({
      folders: 1,
      entries: 1,
    });
  });
});

/** Devices that send on at once, so that commit groups follow one another and their rows wait. */
const HASTY_DEVICES = 4;
const HASTY_PAUSE_MAX_MS = 3;

it('finds commit groups in the redo file that a kill left there, and the next start carries them over', async () => {
  home = await makeHome();
  const [mqttPort = 0, httpPort = 0] = await freePorts(2);
  const options = {
    network: 'none' as const,
    set: [`mqtt.port=${mqttPort}`, `http.port=${httpPort}`],
  };
  const record = new PublishingRecord();
  const seed = randomInt(2 ** 32);
  console.log(`seed ${seed}`);
  const random = randomFrom(seed);
  let publishers: RawPublisher[] = [];
  let running: Promise<unknown> = Promise.resolve();
  let pending = 0;
  // The kill may also come in a moment in which nothing waits.
  for (let kills = 0; pending === 0; kills++) {
    expect(kills).toBeLessThan(30);
    const killed = await GatewayProcess.start(home, options);
    if (kills === 0) {
      const devices = Array.from({ length: HASTY_DEVICES }, () => new TestDevice(killed.did));
      for (const { did } of devices) await killed.enrol(did);
      publishers = devices.map((device) => {
        const to = { gateway: { mqttPort }, realm: LOCAL_REALM, device };
        return new RawPublisher({ ...to, pauseMaxMs: HASTY_PAUSE_MAX_MS }, { record, random });
      });
      running = Promise.all(publishers.map((publisher) => publisher.run()));
    }
    const before = record.acknowledged.size;
    await waitFor('acknowledgements', () => record.acknowledged.size > before + 50);
    await killed.kill();
    pending = pendingRedo(data());
  }
  for (const publisher of publishers) publisher.stopPublishing();
  await running;

  const before = hashesBelow(home);
  const result = await check();
  console.log(renderFsck(result));
  expect(result).toMatchObject({ result: 'clean', exitCode: 0 });
  expect(codes(result, 'fault', 'note')).toEqual([]);
  const [found] = result.findings.filter(({ code }) => code === 'LEDGER_REDO_PENDING');
  expect(found).toMatchObject({ severity: 'leftover', facts: { records: pending } });
  expect(result.checks[0]?.counts).toMatchObject({ 'redo records': pending });
  expect(hashesBelow(home)).toEqual(before);

  // What else is left over may go: the redo file holds all that was acknowledged.
  expect(await check({ repair: true })).toMatchObject({ result: 'clean', exitCode: 0 });
  const left = await check();
  expect(left.findings).toMatchObject([{ code: 'LEDGER_REDO_PENDING', repaired: null }]);
  expect(pendingRedo(data())).toBe(pending);

  const gateway = await GatewayProcess.start(home, options);
  try {
    expect(pendingRedo(data())).toBe(0);
    expect(record.acknowledged.size).toBeGreaterThan(0);
    await gateway.seal();
    await expectKept(gateway, record);
  } finally {
    await gateway.stop();
  }
  expect((await check()).findings).toEqual([]);
});

/** Damages that nothing can mend, what each is found as, and where it is clear, nothing else. */
const DAMAGES: readonly (readonly [
  what: string,
  damage: () => void,
  found: readonly FsckCode[],
])[] = [
  // ledger file
  ['a page of the ledger is zeroed', () => zeroLastPage(), ['LEDGER_DAMAGED']],
  [
    'an index is gone',
    () => changeLedger(home, 'DROP INDEX sessions_open'),
    ['LEDGER_SCHEMA_WRONG'],
  ],
  ['a table was added', () => changeLedger(home, 'CREATE TABLE mine (x)'), ['LEDGER_SCHEMA_WRONG']],
  [
    'a relay lost its device',
    () => changeLedger(home, 'UPDATE relay_devices SET device = 99'),
    ['LEDGER_REFERENCE_BROKEN'],
  ],
  ['the redo file is damaged', () => flip(data('ledger.redo'), 40), ['LEDGER_REDO_DAMAGED']],
  ['the redo file was cut', () => truncateSync(data('ledger.redo'), 4096), ['LEDGER_REDO_DAMAGED']],
  ['the redo file is empty', () => truncateSync(data('ledger.redo'), 0), ['LEDGER_REDO_DAMAGED']],
  ['the redo file is of another ledger', () => replaceRedo(), ['LEDGER_REDO_DAMAGED']],
  [
    'a folder is in the place of the redo file',
    () => {
      unlinkSync(data('ledger.redo'));
      mkdirSync(data('ledger.redo'));
    },
    ['LEDGER_REDO_DAMAGED'],
  ],
  [
    'the ledger does not say which epoch of its redo file it holds',
    () => changeLedger(home, "DELETE FROM meta WHERE key = 'redo_epoch'"),
    ['LEDGER_REDO_DAMAGED'],
  ],
  [
    'the epoch of the redo file is no number',
    () => changeLedger(home, "UPDATE meta SET value = 'x' WHERE key = 'redo_epoch'"),
    ['LEDGER_REDO_DAMAGED'],
  ],
  // identity
  [
    'the key is another one',
    () => renameSync(join(home, 'keys', 'gateway-next.key'), join(home, 'keys', 'gateway.key')),
    ['GATEWAY_KEY_UNREADABLE'],
  ],
  [
    'the keys are swapped',
    () => swap(join(home, 'keys', 'gateway.key'), join(home, 'keys', 'gateway-next.key')),
    ['DATASET_DAMAGED', 'LEDGER_FOREIGN'],
  ],
  [
    'the key is no key',
    () => writeFileSync(join(home, 'keys', 'gateway.key'), 'no key'),
    ['GATEWAY_KEY_UNREADABLE'],
  ],
  [
    'the ledger names no log',
    () => changeLedger(home, "DELETE FROM meta WHERE key = 'log_id'"),
    ['LEDGER_IDENTITY_MISSING'],
  ],
  [
    'the ledger is behind the signed head',
    () => changeHead((head) => ({ ...head, size: 9 })),
    ['LEDGER_ROLLED_BACK'],
  ],
  [
    'the signed head is of another log',
    () => changeHead((head) => ({ ...head, logId: '00'.repeat(16) })),
    ['LEDGER_ROLLED_BACK'],
  ],
  [
    'the signed head has another root',
    () => changeHead((head) => ({ ...head, root: '00'.repeat(32) })),
    ['LOG_HEAD_DIFFERS'],
  ],
  [
    'the signed head is an old copy',
    () => changeHead((head) => ({ ...head, size: 1 })),
    ['LOG_HEAD_BEHIND', 'LOG_HEAD_DIFFERS'],
  ],
  ['the signed head is gone', () => unlinkSync(headFile()), ['LOG_HEAD_MISSING']],
  ['the signed head is no JSON', () => writeFileSync(headFile(), '{'), ['LOG_HEAD_UNREADABLE']],
  // log
  [
    'the log is cut',
    () => changeLedger(home, 'DELETE FROM log WHERE log_index = 1'),
    ['DATASET_DIFFERS', 'LEDGER_ROLLED_BACK', 'LOG_RECORD_MISSING'],
  ],
  [
    'the log has a hole',
    () => changeLedger(home, 'DELETE FROM log WHERE log_index = 0'),
    ['DATASET_DIFFERS', 'LEDGER_ROLLED_BACK', 'LOG_HOLE', 'LOG_RECORD_MISSING'],
  ],
  [
    'a log record is changed',
    () => flipBlob('log', 'record', 'log_index = 0', 60),
    ['LOG_BATCH_MISMATCH', 'LOG_CHECKPOINT_WRONG', 'LOG_PEAKS_WRONG'],
  ],
  [
    'a log record is cut',
    () => changeLedger(home, 'UPDATE log SET record = substr(record, 1, 50) WHERE log_index = 1'),
    ['LOG_CHECKPOINT_WRONG', 'LOG_PEAKS_WRONG', 'LOG_RECORD_INVALID'],
  ],
  [
    'log records are swapped',
    () =>
      changeLedger(
        home,
        'UPDATE log SET log_index = log_index + 10',
        'UPDATE log SET log_index = 11 - log_index',
      ),
    [
      'DATASET_DIFFERS',
      'LOG_BATCH_MISMATCH',
      'LOG_CHECKPOINT_WRONG',
      'LOG_HEAD_DIFFERS',
      'LOG_PEAKS_WRONG',
      'LOG_RECORD_INVALID',
    ],
  ],
  ['peaks are changed', () => flipBlob('log', 'peaks', 'log_index = 1', 5), ['LOG_PEAKS_WRONG']],
  [
    'a checkpoint is changed',
    () => flipBlob('log', 'checkpoint', 'log_index = 0', 90),
    ['DATASET_DIFFERS', 'LOG_CHECKPOINT_WRONG'],
  ],
  // batches
  [
    'a batch has an unknown state',
    () => changeLedger(home, `UPDATE batches SET state = 'lost' WHERE id = ${OPEN}`),
    ['BATCH_FILE_LAST_COPY', 'BATCH_STATE_WRONG'],
  ],
  [
    'a forged batch has no token',
    () => changeLedger(home, `UPDATE batches SET token = NULL WHERE id = ${FORGED}`),
    ['BATCH_STATE_WRONG', 'FORGE_TOKEN_WRONG'],
  ],
  [
    'a sealed batch is open again',
    () => changeLedger(home, `UPDATE batches SET state = 'open' WHERE id = ${SEALED}`),
    ['BATCH_FILE_MISSING', 'BATCH_STATE_WRONG', 'FORGE_INTENT_DIFFERS', 'LOG_BATCH_MISMATCH'],
  ],
  [
    'a stream has two open batches',
    () =>
      changeLedger(
        home,
        `INSERT INTO batches (stream, challengeable, state, opened_at_us, last_received_at_us, entries, frames, bytes) SELECT stream, challengeable, state, opened_at_us, last_received_at_us, 0, 0, 0 FROM batches WHERE id = ${OPEN}`,
      ),
    ['BATCH_OPEN_TWICE'],
  ],
  [
    'a batch counts too many frames',
    () => changeLedger(home, `UPDATE batches SET frames = frames + 1 WHERE id = ${OPEN}`),
    ['BATCH_DIFFERS'],
  ],
  [
    'a sealed batch counts too few bytes',
    () => changeLedger(home, `UPDATE batches SET bytes = bytes - 1 WHERE id = ${SEALED}`),
    ['BATCH_DIFFERS'],
  ],
  [
    'a batch has the wrong kind',
    () => changeLedger(home, `UPDATE batches SET challengeable = 1 WHERE id = ${OPEN}`),
    ['BATCH_ENTRY_WRONG'],
  ],
  [
    'a batch lists a device too few',
    () => changeLedger(home, `DELETE FROM batch_devices WHERE batch = ${SEALED}`),
    ['BATCH_DEVICES_WRONG'],
  ],
  [
    'a batch is gone',
    () => changeLedger(home, `DELETE FROM batches WHERE id = ${SEALED}`),
    ['DATASET_UNKNOWN', 'FORGE_INTENT_DIFFERS', 'LOG_BATCH_MISMATCH', 'STATEMENT_BATCH_MISSING'],
  ],
  // batch files
  ['a batch file is gone', () => unlinkSync(batchFileOf(OPEN)), ['BATCH_FILE_MISSING']],
  [
    'a batch file is cut',
    () => truncateSync(batchFileOf(OPEN), statSync(batchFileOf(OPEN)).size - 1),
    ['BATCH_FILE_SHORT'],
  ],
  ['a batch file begins wrong', () => flip(batchFileOf(OPEN), 5), ['BATCH_FILE_DAMAGED']],
  [
    'a length in a batch file is changed',
    () => flip(batchFileOf(OPEN), 8 + 280 + 3),
    ['BATCH_ENTRY_WRONG', 'BATCH_FILE_DAMAGED', 'STATEMENT_DIFFERS'],
  ],
  [
    'a statement in a batch file is changed',
    () => flip(batchFileOf(OPEN), 8 + 180),
    ['BATCH_ENTRY_WRONG', 'STATEMENT_DIFFERS'],
  ],
  [
    'a signature in a batch file is changed',
    () => flip(batchFileOf(OPEN), 8 + 210),
    ['BATCH_ENTRY_WRONG', 'STATEMENT_DIFFERS'],
  ],
  [
    'a receive time in a batch file is changed',
    () => flip(batchFileOf(OPEN), 8 + 271),
    ['STATEMENT_DIFFERS'],
  ],
  ['a frame in a batch file is changed', () => flip(batchFileOf(OPEN), -1), ['BATCH_ENTRY_WRONG']],
  [
    'a batch file holds other bytes',
    () => {
      const { size } = statSync(batchFileOf(OPEN));
      writeFileSync(batchFileOf(OPEN), Buffer.alloc(size, readFileSync(dataset(SEALED, 'frames'))));
    },
    ['BATCH_FILE_DAMAGED'],
  ],
  // statements
  [
    'a statement covers what another covers',
    () =>
      changeLedger(
        home,
        `UPDATE statements SET last = last + 1 WHERE batch = ${SEALED} AND batch_index = 0`,
      ),
    ['STATEMENT_DIFFERS', 'STATEMENT_OVERLAP'],
  ],
  [
    'a range is stored twice',
    () =>
      changeLedger(
        home,
        `INSERT INTO statements (session, stream, first, last, hash, entry_leaf, grp, grp_index, batch, batch_index) SELECT session, stream, first + 1, last, hash, entry_leaf, grp, grp_index, batch, batch_index FROM statements WHERE batch = ${OPEN} AND batch_index = 0`,
      ),
    ['STATEMENT_OVERLAP', 'STATEMENT_PLACE_WRONG'],
  ],
  [
    'a range is impossible',
    () =>
      changeLedger(
        home,
        `UPDATE statements SET last = first - 1 WHERE batch = ${OPEN} AND batch_index = 2`,
      ),
    ['STATEMENT_DIFFERS', 'STATEMENT_RANGE_WRONG'],
  ],
  [
    'a range begins elsewhere',
    () => changeStatement(2, 'first = first + 1'),
    ['STATEMENT_DIFFERS'],
  ],
  [
    'a statement is of another stream',
    () => changeStatement(2, 'stream = 9'),
    ['STATEMENT_DIFFERS'],
  ],
  [
    'a statement is of another session',
    () =>
      changeStatement(
        2,
        'session = (SELECT MIN(session) FROM statements), first = 900, last = 901',
      ),
    ['RECEIPT_LEAF_WRONG', 'STATEMENT_DIFFERS'],
  ],
  [
    'statements are swapped',
    () =>
      changeLedger(
        home,
        `UPDATE statements SET batch_index = 1 - batch_index WHERE batch = ${SEALED} AND batch_index < 2`,
      ),
    ['STATEMENT_DIFFERS'],
  ],
  [
    'a statement of an open session is gone',
    () => changeLedger(home, `DELETE FROM statements WHERE batch = ${OPEN} AND batch_index = 2`),
    ['STATEMENT_MISSING'],
  ],
  [
    'a statement names another batch',
    () =>
      changeLedger(
        home,
        `UPDATE statements SET batch = 77 WHERE batch = ${OPEN} AND batch_index = 2`,
      ),
    ['STATEMENT_BATCH_MISSING', 'STATEMENT_MISSING'],
  ],
  [
    'a statement lost its session',
    () =>
      changeLedger(
        home,
        `UPDATE statements SET session = 99 WHERE batch = ${OPEN} AND batch_index = 0`,
      ),
    ['STATEMENT_SESSION_MISSING'],
  ],
  [
    'a statement hash is changed',
    () => flipBlob('statements', 'hash', `batch = ${OPEN} AND batch_index = 1`, 3),
    ['RECEIPT_LEAF_WRONG', 'STATEMENT_DIFFERS'],
  ],
  [
    'an entry leaf is changed',
    () => flipBlob('statements', 'entry_leaf', `batch = ${FORGED} AND batch_index = 1`, 3),
    ['RECEIPT_LEAF_WRONG', 'STATEMENT_DIFFERS'],
  ],
  // ranges
  [
    'a statement is gone that a range leads to',
    () => {
      fillRanges();
      changeLedger(home, `DELETE FROM statements WHERE batch = ${OPEN} AND batch_index = 2`);
    },
    ['RANGES_WRONG', 'STATEMENT_MISSING'],
  ],
  [
    'a statement is gone whose entry was in a dataset that is removed',
    () => {
      fillRanges();
      rmSync(dataset(FORGED), { recursive: true });
      changeLedger(
        home,
        `UPDATE batches SET removed_at_us = 1 WHERE id = ${FORGED}`,
        `DELETE FROM statements WHERE batch = ${FORGED} AND batch_index = 1`,
      );
    },
    ['RANGES_WRONG', 'STATEMENT_MISSING'],
  ],
  [
    'the table of ranges is gone',
    () => changeLedger(home, 'DROP TABLE ranges'),
    ['LEDGER_DAMAGED', 'LEDGER_SCHEMA_WRONG'],
  ],
  // receipts
  [
    'a group is gone',
    () => changeLedger(home, 'DELETE FROM groups WHERE id = (SELECT MAX(grp) FROM statements)'),
    ['RECEIPT_GROUP_MISSING'],
  ],
  [
    'a group is changed',
    () => flipBlob('groups', 'leaves', 'id = (SELECT MAX(grp) FROM statements)', 0),
    ['RECEIPT_LEAF_WRONG'],
  ],
  [
    'a group is cut',
    () =>
      changeLedger(
        home,
        'UPDATE groups SET leaves = substr(leaves, 1, 31) WHERE id = (SELECT MAX(grp) FROM statements)',
      ),
    ['RECEIPT_GROUP_WRONG', 'RECEIPT_LEAF_WRONG'],
  ],
  // datasets
  ['a dataset is gone', () => rmSync(dataset(SEALED), { recursive: true }), ['DATASET_MISSING']],
  ...(['manifest.json', 'entries', 'frames', 'devices', 'checkpoint'] as const).flatMap((name) => [
    [
      `${name} of a dataset is changed`,
      () => flip(dataset(SEALED, name), -3),
      ['DATASET_DAMAGED'],
    ] as const,
    [
      `${name} of a dataset is gone`,
      () => unlinkSync(dataset(FORGED, name)),
      ['DATASET_DAMAGED'],
    ] as const,
    [
      `${name} of a dataset is cut`,
      () => truncateSync(dataset(FORGED, name), statSync(dataset(FORGED, name)).size - 1),
      ['DATASET_DAMAGED'],
    ] as const,
  ]),
  [
    'a dataset has a file too many',
    () => writeFileSync(dataset(SEALED, 'more'), 'x'),
    ['DATASET_DAMAGED'],
  ],
  [
    'checkpoints are swapped',
    () => swap(dataset(SEALED, 'checkpoint'), dataset(FORGED, 'checkpoint')),
    ['DATASET_DAMAGED'],
  ],
  [
    'a folder is not of this ledger',
    () => renameSync(dataset(SEALED), data('datasets', '00'.repeat(32))),
    ['DATASET_MISSING', 'DATASET_UNKNOWN'],
  ],
  [
    'a foreign file lies among the datasets',
    () => writeFileSync(data('datasets', 'notes.txt'), 'mine'),
    ['DATASET_UNKNOWN'],
  ],
  [
    'a dataset is on its way out too early',
    () => renameSync(dataset(SEALED), data('datasets', `.removed-${rootOf(SEALED)}`)),
    ['DATASET_MISSING', 'DATASET_REMOVED_EARLY'],
  ],
  [
    'a sealed batch still has its file, and no dataset',
    () => {
      writeFileSync(batchFileOf(SEALED), 'the only copy');
      rmSync(dataset(SEALED), { recursive: true });
    },
    ['BATCH_FILE_LAST_COPY', 'DATASET_MISSING'],
  ],
  // forging
  [
    'an intent has no token',
    () =>
      changeLedger(
        home,
        "UPDATE chain_intent SET token_id = NULL WHERE kind = 'dataset' AND log_index = 0",
      ),
    ['FORGE_INTENT_WRONG', 'FORGE_TOKEN_WRONG'],
  ],
  [
    'an intent is for another dataset',
    () =>
      changeLedger(
        home,
        `UPDATE chain_intent SET payload = replace(payload, '"count":4', '"count":5') WHERE kind = 'dataset' AND log_index = 1`,
      ),
    ['FORGE_INTENT_DIFFERS'],
  ],
  [
    'an intent is written twice',
    () =>
      changeLedger(
        home,
        `INSERT INTO chain_intent SELECT key || '0', chain_id, kind, log_id, log_index, payload, state, token_id, tx_hash, block_number, block_hash, attempts, last_error, created_at_us, updated_at_us FROM chain_intent WHERE kind = 'dataset' AND log_index = 1`,
      ),
    ['FORGE_INTENT_DIFFERS', 'FORGE_INTENT_TWICE'],
  ],
  [
    'the intent of a forged batch is gone',
    () =>
      changeLedger(
        home,
        "DELETE FROM chain_tx WHERE intent_key LIKE 'dataset:%'",
        "DELETE FROM chain_intent WHERE kind = 'dataset' AND log_index = 0",
      ),
    ['FORGE_INTENT_MISSING'],
  ],
  [
    'a batch has another token',
    () =>
      changeLedger(
        home,
        `UPDATE batches SET token = json_set(token, '$.tokenId', '77') WHERE id = ${FORGED}`,
      ),
    ['FORGE_TOKEN_WRONG'],
  ],
  [
    'a nonce is used twice',
    () =>
      changeLedger(
        home,
        'DROP INDEX chain_tx_live',
        "UPDATE chain_tx SET nonce = (SELECT nonce FROM chain_tx WHERE state = 'confirmed' LIMIT 1) WHERE state IN ('signed', 'sent')",
      ),
    ['FORGE_NONCE_TWICE', 'FORGE_TRANSACTION_WRONG', 'LEDGER_SCHEMA_WRONG'],
  ],
  [
    'the bytes of a transaction are changed',
    () =>
      changeLedger(
        home,
        "UPDATE chain_tx SET raw = substr(raw, 1, length(raw) - 1) || CASE substr(raw, -1) WHEN '0' THEN '1' ELSE '0' END WHERE state = 'sent'",
      ),
    ['FORGE_TRANSACTION_WRONG'],
  ],
  [
    'a transaction is of another account',
    () =>
      changeLedger(
        home,
        "UPDATE chain_tx SET account = '0x00000000000000000000000000000000000000aa' WHERE state = 'sent'",
      ),
    ['FORGE_TRANSACTION_WRONG'],
  ],
  // local chain
  ['a dump is damaged', () => flip(newestDump(), -6), ['CHAIN_DUMP_UNREADABLE']],
  ['all dumps are gone', () => removeAll(dumps()), ['CHAIN_DUMP_MISSING']],
  [
    'the keys of the local chain are gone',
    () => unlinkSync(data('chain', 'mnemonic')),
    ['CHAIN_KEYS_UNREADABLE'],
  ],
  [
    'the keys of the local chain are changed',
    () => writeFileSync(data('chain', 'mnemonic'), 'abandon'),
    ['CHAIN_KEYS_UNREADABLE'],
  ],
  // devices
  [
    'a device has another key',
    () => flipBlob('devices', 'key_id', 'id = 3', 3),
    [
      'BATCH_DEVICES_WRONG',
      'BATCH_ENTRY_WRONG',
      'DEVICE_WRONG',
      'RECEIPT_LEAF_WRONG',
      'STATEMENT_DIFFERS',
    ],
  ],
  [
    'a session has no name',
    () =>
      changeLedger(
        home,
        "UPDATE sessions SET session = x'00' WHERE id = (SELECT MIN(id) FROM sessions)",
      ),
    ['SESSION_WRONG', 'STATEMENT_DIFFERS'],
  ],
  [
    'a relay has no secret',
    () => changeLedger(home, "UPDATE relays SET salt = x''"),
    ['RELAY_WRONG'],
  ],
  [
    'a refusal is of nobody',
    () => changeLedger(home, 'UPDATE refusals SET device = 99'),
    ['REFUSAL_WRONG'],
  ],
];

/** Changes the row of an entry of the open batch. */
function changeStatement(index: number, set: string): void {
  changeLedger(
    home,
    `UPDATE statements SET ${set} WHERE batch = ${OPEN} AND batch_index = ${index}`,
  );
}

/** As the ledger does it now and then: every statement is in the table that it is found by. */
function fillRanges(): void {
  changeLedger(
    home,
    'INSERT INTO ranges SELECT session, stream, first, id FROM statements',
    "UPDATE meta SET value = (SELECT MAX(id) FROM statements) WHERE key = 'ranges_upto'",
  );
}

const headFile = (): string => join(home, 'keys', 'log-head.json');
const dumps = (): string[] =>
  readdirSync(data('chain'))
    .filter((name) => /^state-\d+\.gz$/.test(name))
    .sort()
    .map((name) => data('chain', name));
const newestDump = (): string => dumps().at(-1) as string;

function changeHead(change: (head: { size: number; logId: string; root: string }) => object): void {
  writeFileSync(headFile(), JSON.stringify(change(JSON.parse(readFileSync(headFile(), 'utf8')))));
}

function swap(one: string, other: string): void {
  renameSync(one, `${one}.swap`);
  renameSync(other, one);
  renameSync(`${one}.swap`, other);
}

function flipBlob(table: string, column: string, where: string, at: number): void {
  const hex = ledgerValue<string>(home, `SELECT hex(${column}) FROM ${table} WHERE ${where}`);
  const bytes = Buffer.from(hex, 'hex');
  bytes[at] = (bytes[at] as number) ^ 1;
  changeLedger(home, `UPDATE ${table} SET ${column} = x'${bytes.toString('hex')}' WHERE ${where}`);
}

/** The root page of the ranges, once the WAL is in the file. */
function zeroLastPage(): void {
  const page = ledgerValue<number>(
    home,
    "SELECT rootpage FROM sqlite_master WHERE name = 'ranges'",
  );
  const bytes = readFileSync(data('ledger.sqlite'));
  bytes.fill(0, (page - 1) * 8192, page * 8192);
  writeFileSync(data('ledger.sqlite'), bytes);
}

/** With one that a ledger of another log made. */
function replaceRedo(): void {
  const elsewhere = data('elsewhere');
  mkdirSync(elsewhere);
  RedoFile.open(elsewhere, { logId: new Uint8Array(16), committed: 0 }).file.close();
  renameSync(join(elsewhere, REDO_FILE), data(REDO_FILE));
  rmSync(elsewhere, { recursive: true });
}

/** Frames of the WAL that end a commit, by where they begin: 24 bytes before each page of 8,192. */
function commitsIn(wal: string): number[] {
  const bytes = readFileSync(wal);
  const commits: number[] = [];
  for (let at = 32; at + 24 + 8192 <= bytes.length; at += 24 + 8192) {
    const isOfThisRound = bytes.subarray(at + 8, at + 16).equals(bytes.subarray(16, 24));
    if (isOfThisRound && bytes.readUInt32BE(at + 4) > 0) commits.push(at);
  }
  return commits;
}

/** Damages the page of a commit, counted from the last. */
function damageCommit(fromLast: number): void {
  const wal = data('ledger.sqlite-wal');
  flip(wal, (commitsIn(wal).at(-fromLast) as number) + 24 + 100);
}

function removeAll(files: readonly string[]): void {
  for (const file of files) unlinkSync(file);
}

describe('fsck finds, and no repair touches,', () => {
  it.each(DAMAGES)('%s', async (_what, damage, found) => {
    home = copyHome(tidy);
    damage();
    const before = hashesBelow(home);
    const result = await check({ repair: true });
    const faults = faultsOf(result);
    // A ledger that is damaged itself says more, and not always the same.
    if (found.includes('LEDGER_DAMAGED')) {
      expect(faults).toEqual(expect.arrayContaining([...found]));
    } else {
      expect(faults).toEqual([...found]);
    }
    expect(result).toMatchObject({ result: 'faults', exitCode: 1 });
    for (const { what, means, todo, severity, repaired } of result.findings) {
      expect([what, means, todo]).not.toContain('');
      if (severity === 'fault') expect(repaired).toBeNull();
    }
    expect(renderFsck(result)).toContain(`${found[0]} (fault): `);
    expect(hashesBelow(home)).toEqual(before);
  });

  it('a commit in the WAL that is damaged while others follow it', async () => {
    home = copyHome(scene.home);
    damageCommit(3);
    const before = hashesBelow(home);
    const result = await check({ repair: true });
    expect(codes(result, 'fault')).toContain('LEDGER_WAL_DAMAGED');
    expect(result.findings.filter(({ repaired }) => repaired !== null)).toEqual([]);
    expect(hashesBelow(home)).toEqual(before);
  });
});

/** Leftovers, and the one derived value that may be counted again: each is found, and mended without any other change. */
const MENDED: readonly (readonly [what: string, damage: () => void, found: FsckCode])[] = [
  [
    'bytes that no commit confirmed',
    () => appendFileSync(batchFileOf(OPEN), Buffer.alloc(700, 7)),
    'BATCH_FILE_TAIL',
  ],
  [
    'a file of a batch that never was',
    () => writeFileSync(batchFileOf(99), 'torn'),
    'BATCH_FILE_STRAY',
  ],
  [
    'a file of a batch that is sealed',
    () => writeFileSync(batchFileOf(SEALED), 'sealed'),
    'BATCH_FILE_STRAY',
  ],
  [
    'a dataset that was never finished',
    () => {
      mkdirSync(data('datasets', '.tmp-2'));
      writeFileSync(data('datasets', '.tmp-2', 'entries'), 'x');
    },
    'DATASET_UNFINISHED',
  ],
  [
    'a checkpoint that was never finished',
    () => writeFileSync(`${dataset(SEALED)}.checkpoint.tmp`, 'x'),
    'DATASET_CHECKPOINT_UNFINISHED',
  ],
  [
    'a dataset that is to go, whole',
    () => changeLedger(home, `UPDATE batches SET removed_at_us = 1 WHERE id = ${FORGED}`),
    'DATASET_HALF_REMOVED',
  ],
  [
    'a dataset that is to go, in part',
    () => {
      changeLedger(home, `UPDATE batches SET removed_at_us = 1 WHERE id = ${FORGED}`);
      renameSync(dataset(FORGED), data('datasets', `.removed-${rootOf(FORGED)}`));
      unlinkSync(data('datasets', `.removed-${rootOf(FORGED)}`, 'frames'));
    },
    'DATASET_HALF_REMOVED',
  ],
  [
    'a dump that was never finished',
    () => writeFileSync(data('chain', 'state-9999999999.gz.tmp'), 'x'),
    'CHAIN_DUMP_UNFINISHED',
  ],
  [
    'counters that are too high',
    () => changeLedger(home, 'UPDATE devices SET envelopes = 99, frames = 0 WHERE id = 1'),
    'COUNTERS_WRONG',
  ],
  [
    'counters of no device that can be read',
    () => changeLedger(home, 'UPDATE devices SET refused = -1 WHERE id = 2'),
    'COUNTERS_WRONG',
  ],
  [
    'sums of batches that are wrong',
    () => changeLedger(home, 'UPDATE batch_totals SET entries = entries + 1'),
    'COUNTERS_WRONG',
  ],
  [
    'a gap where none is',
    () => changeLedger(home, 'INSERT INTO gaps SELECT id, 77, 0, 1 FROM sessions LIMIT 1'),
    'COUNTERS_WRONG',
  ],
  [
    'a mark of the counters that lies',
    () =>
      changeLedger(
        home,
        `INSERT OR REPLACE INTO meta VALUES ('counted', '{"statements":9999,"refusals":0}')`,
      ),
    'COUNTERS_WRONG',
  ],
  [
    'a mark of the counters that is no JSON',
    () => changeLedger(home, "INSERT OR REPLACE INTO meta VALUES ('counted', '{')"),
    'COUNTERS_WRONG',
  ],
];

/** Of the table that statements are found by, which says nothing that they do not say. */
const MENDED_RANGES: readonly (readonly [what: string, ...damage: string[]])[] = [
  ['statements up to its mark that are not in it', 'DELETE FROM ranges'],
  [
    'a statement that is not in it',
    'DELETE FROM ranges WHERE statement = (SELECT MIN(id) FROM statements)',
  ],
  [
    'a row of no statement',
    'INSERT INTO ranges SELECT session, 9, first, 77 FROM statements LIMIT 1',
  ],
  [
    'a row that leads to another statement',
    'UPDATE ranges SET statement = 3 - statement WHERE statement IN (1, 2)',
  ],
  ['a row of another place', 'UPDATE ranges SET first = first + 1 WHERE statement = 2'],
  ['a mark that is ahead', "UPDATE meta SET value = 9999 WHERE key = 'ranges_upto'"],
  ['a mark that is no number', "UPDATE meta SET value = 'x' WHERE key = 'ranges_upto'"],
  ['no mark', "DELETE FROM meta WHERE key = 'ranges_upto'"],
];

describe('fsck makes the table of ranges anew, where it has', () => {
  it.each(MENDED_RANGES)('%s', async (_what, ...damage) => {
    home = copyHome(tidy);
    fillRanges();
    expect((await check()).findings).toEqual([]);
    const sound = ledgerValue(home, RANGES_AS_TEXT);
    changeLedger(home, ...damage);
    const before = hashesBelow(home);
    expect(codes(await check(), 'fault', 'leftover', 'note')).toEqual(['RANGES_WRONG']);
    expect(hashesBelow(home)).toEqual(before);
    const repaired = await check({ repair: true });
    expect(repaired).toMatchObject({ result: 'clean', exitCode: 0 });
    expect(repaired.findings).toMatchObject([{ repaired: expect.any(String), heldBack: null }]);
    expect((await check()).findings).toEqual([]);
    expect(ledgerValue(home, RANGES_AS_TEXT)).toBe(sound);
  });

  it('and finds nothing wrong with one that is behind, or was stopped in the middle', async () => {
    home = copyHome(tidy);
    fillRanges();
    changeLedger(home, "UPDATE meta SET value = 3 WHERE key = 'ranges_upto'");
    expect((await check()).findings).toEqual([]);
    changeLedger(home, 'DELETE FROM ranges WHERE statement > 3 AND statement % 2 = 0');
    expect((await check()).findings).toEqual([]);
  });
});

const RANGES_AS_TEXT = `SELECT json_group_array(json_array(session, stream, first, statement))
  || (SELECT value FROM meta WHERE key = 'ranges_upto') FROM ranges`;

describe('fsck mends', () => {
  it.each(MENDED)('%s', async (_what, damage, found) => {
    home = copyHome(tidy);
    damage();
    const before = hashesBelow(home);
    const result = await check();
    expect(codes(result, 'fault', 'leftover')).toEqual([found]);
    expect(hashesBelow(home)).toEqual(before);
    const repaired = await check({ repair: true });
    expect(repaired).toMatchObject({ result: 'clean', exitCode: 0 });
    const mended = repaired.findings.filter(({ code }) => code === found);
    expect(mended.length).toBeGreaterThan(0);
    for (const finding of mended) expect(finding).toMatchObject({ repaired: expect.any(String) });
    expect((await check()).findings).toEqual([]);
    // Of the files that nobody damaged none is touched, but for the ledger, where a counter or the WAL is in it.
    const clean = hashesBelow(tidy);
    for (const [path, hash] of Object.entries(hashesBelow(home))) {
      if (path.startsWith('data/ledger.sqlite')) continue;
      expect([path, hash]).toEqual([path, clean[path]]);
    }
  });

  it('nothing that may be the only copy, while something else is not accounted for', async () => {
    home = copyHome(scene.home);
    writeFileSync(batchFileOf(99), 'may be what the ledger lost');
    appendFileSync(batchFileOf(OPEN), 'may be what the ledger lost');
    changeLedger(home, `DELETE FROM statements WHERE batch = ${OPEN} AND batch_index = 2`);
    const before = hashesBelow(home);
    const repaired = await check({ repair: true });
    expect(repaired).toMatchObject({ exitCode: 1 });
    for (const code of ['BATCH_FILE_STRAY', 'BATCH_FILE_TAIL'] as const) {
      expect(repaired.findings.find((one) => one.code === code)).toMatchObject({
        repaired: null,
        heldBack: expect.stringContaining('statements'),
      });
    }
    expect(hashesBelow(home)).toEqual(before);
  });

  it('nothing behind a commit that is torn', async () => {
    home = copyHome(scene.home);
    appendFileSync(batchFileOf(OPEN), 'may be of the torn commit');
    damageCommit(1);
    const before = hashesBelow(home);
    const repaired = await check({ repair: true });
    expect(codes(repaired, 'note')).toEqual(['LEDGER_WAL_TORN']);
    expect(repaired.findings.filter((one) => one.repaired !== null)).toEqual([]);
    expect(hashesBelow(home)).toEqual(before);
  });
});

describe('what the ledger may forget', () => {
  it('is the statement rows of a session that is pruned, once its batch is sealed', async () => {
    home = copyHome(scene.home);
    const session = ledgerValue<number>(
      home,
      `SELECT session FROM statements WHERE batch = ${SEALED} LIMIT 1`,
    );
    changeLedger(home, `DELETE FROM statements WHERE batch = ${SEALED}`);
    expect(faultsOf(await check())).toEqual(['STATEMENT_MISSING']);
    changeLedger(home, `UPDATE sessions SET closed_at_us = 1 WHERE id = ${session}`);
    expect(faultsOf(await check())).toEqual(['STATEMENT_MISSING']);
    changeLedger(home, `UPDATE sessions SET prune_after = 0 WHERE id = ${session}`);
    const result = await check();
    expect(faultsOf(result)).toEqual([]);
    expect(result.checks.find(({ name }) => name === 'statements')?.counts).toMatchObject({
      pruned: 4,
    });
    changeLedger(
      home,
      `UPDATE sessions SET closed_at_us = 1, prune_after = 0`,
      `DELETE FROM statements WHERE batch = ${OPEN} AND batch_index = 1`,
    );
    expect(faultsOf(await check())).toEqual(['STATEMENT_MISSING']);
  });
});

describe('fsck --quick', () => {
  it('finds by hash what is not what was sealed', async () => {
    home = copyHome(scene.home);
    expect(await check({ quick: true })).toMatchObject({ exitCode: 0 });
    flip(dataset(FORGED, 'frames'), -1);
    expect(codes(await check({ quick: true }), 'fault')).toEqual(['DATASET_DAMAGED']);
  });
});

/** The command as people run it. */
async function runCommand(...args: string[]): Promise<{ code: number; value: FsckResult }> {
  const main = fileURLToPath(new URL('../../gateway/dist/cli/main.js', import.meta.url));
  const child = spawn(process.execPath, [main, '--home', home, 'fsck', '--json', ...args], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let out = '';
  child.stdout.on('data', (chunk) => {
    out += chunk;
  });
  const [code] = await once(child, 'close');
  return { code: code as number, value: JSON.parse(out) };
}

describe('waystone fsck', () => {
  it('ends with 0 when clean and 1 when faults are left, and tells the same as JSON', async () => {
    home = copyHome(scene.home);
    const clean = await runCommand('--repair');
    expect(clean).toMatchObject({ code: 0, value: { exitCode: 0, verdict: 'clean, 1 repaired' } });
    expect((await runCommand()).value).toEqual(await check());
    flip(dataset(SEALED, 'entries'), 0);
    const damaged = await runCommand('--quick');
    expect(damaged).toMatchObject({ code: 1, value: { result: 'faults', verdict: '1 fault' } });
    expect(codes(damaged.value, 'fault')).toEqual(['DATASET_DAMAGED']);
  });
});

describe('fsck cannot read', () => {
  it('while a gateway runs', async () => {
    home = copyHome(scene.home);
    const gateway = await GatewayProcess.start(home, { network: 'none' });
    try {
      await expect(check()).rejects.toMatchObject({ code: 'DATA_FOLDER_LOCKED' });
      expect(await runCommand()).toMatchObject({
        code: 2,
        value: { error: { code: 'DATA_FOLDER_LOCKED' } },
      });
    } finally {
      await gateway.kill();
    }
  });

  it.each([
    ['no ledger', () => rmSync(data('ledger.sqlite')), 'LEDGER_MISSING'],
    ['no data folder', () => rmSync(data(), { recursive: true }), 'LEDGER_MISSING'],
    ['no home', () => rmSync(join(home, 'waystone.toml')), 'HOME_MISSING'],
    [
      'a ledger that is no database',
      () => {
        setVersion(SCHEMA_VERSION);
        flip(data('ledger.sqlite'), 3);
      },
      'LEDGER_UNREADABLE',
    ],
    ['a ledger of a later release', () => setVersion(99), 'LEDGER_TOO_NEW'],
    ['a ledger of an earlier release', () => setVersion(1), 'LEDGER_TOO_OLD'],
  ] as const)('%s', async (_what, damage, code) => {
    home = copyHome(tidy);
    damage();
    const before = existsSync(data()) ? hashesBelow(home) : {};
    await expect(check()).rejects.toMatchObject({ code });
    if (existsSync(data())) expect(hashesBelow(home)).toEqual(before);
  });
});

function setVersion(version: number): void {
  const db = new Database(data('ledger.sqlite'));
  db.pragma(`user_version = ${version}`);
  db.close();
}
