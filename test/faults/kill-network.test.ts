import { randomInt } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { realmOf } from '@waystone/proto';
import Database from 'better-sqlite3';
import { encryptKeystoreJson } from 'ethers';
import { afterEach, expect, it } from 'vitest';
import { frame, TestDevice } from '../harness/device.js';
import { GatewayProcess, makeHome, removeHome } from '../harness/gateway.js';
import { DeviceClient } from '../harness/mqtt.js';
import { sealAndForge } from './at-rest.js';
import {
  expectJournalExplains,
  type JournalledTransaction,
  mintsOf,
} from './forge-journal-checks.js';
import { PublicNode } from './public-node.js';
import { randomFrom } from './random.js';
import { RpcProxy } from './rpc-proxy.js';

const ROUNDS = Number(process.env.WAYSTONE_NETWORK_KILL_ROUNDS ?? 6);
const SEED = Number(process.env.WAYSTONE_NETWORK_KILL_SEED ?? randomInt(2 ** 32));

const CHAIN_ID = 133_718;
const KILL_WITHIN_MS = 2_500;

/** A hanging call holds the gateway up for ten seconds, so faults are rarer than where time is set shorter. */
const FAULT_EVERY = 60;

/** Frames lie before the chain's clock, µs. */
const BEFORE_US = 10_000_000;

let closing: (() => unknown)[] = [];

afterEach(async () => {
  for (const close of closing.reverse()) await close();
  closing = [];
});

it(
  'forges on a public network, killed with SIGKILL at any instant: one DAT for each dataset',
  async () => {
    console.log(`network kill test: seed ${SEED}, ${ROUNDS} rounds`);
    const random = randomFrom(SEED);
    const folder = mkdtempSync(join(tmpdir(), 'waystone-network-'));
    closing.push(() => rmSync(folder, { recursive: true, force: true }));
    const node = await PublicNode.start({
      ...{ chainId: CHAIN_ID, keyFile: join(folder, 'mnemonic'), windowSeconds: 1 },
    });
    closing.push(() => node.stop());
    await node.ownerAppoints();
    const proxies: RpcProxy[] = [];
    for (let i = 0; i < 2; i++) {
      const own = randomFrom(random.below(2 ** 32));
      const target = (): string => node.url;
      const proxy = await RpcProxy.start({ target, random: own, faultEvery: FAULT_EVERY });
      proxies.push(proxy);
      closing.push(() => proxy.stop());
    }
    await node.mineEvery(150);

    const home = await makeHome();
    closing.push(() => removeHome(home));
    const { contracts, idao, operator } = node.keys;
    const { address, privateKey } = operator;
    const password = 'of the operator';
    const scrypt = { N: 1_024 };
    const keystore = await encryptKeystoreJson({ address, privateKey }, password, { scrypt });
    writeFileSync(join(home, 'keys', 'operator.json'), keystore, { mode: 0o600 });
    writeFileSync(join(home, 'keys', 'operator.password'), `${password}\n`, { mode: 0o600 });
    const options = {
      network: 'lazai-testnet' as const,
      set: [
        'batch.entriesMax=3',
        'http.publicUrl=https://gateway.example/fleet',
        'batch.entriesMin=1',
        'batch.ageSecondsMax=3600',
        `chain.rpcUrls=${proxies.map(({ url }) => url).join()}`,
        `chain.factoryAddress=${contracts.factory}`,
        `chain.registryAddress=${contracts.registry}`,
        `chain.datAddress=${contracts.dat}`,
        `chain.datasetForgeAddress=${contracts.datasetForge}`,
        `chain.idaoAddress=${idao}`,
        'chain.passwordFile=keys/operator.password',
        'chain.bumpAfterSeconds=5',
      ],
    };
    let gateway = await GatewayProcess.start(home, options);
    closing.push(() => gateway.kill());
    const device = new TestDevice(gateway.did);
    await gateway.enrol(device.did);
    const realm = realmOf(CHAIN_ID, idao);
    for (let round = 0; round < ROUNDS; round++) {
      const client = await DeviceClient.open(gateway, device);
      // What was acknowledged must be forged, whatever happens to the gateway.
      for (let k = 0; k < 3 + random.below(6); k++) {
        const timeUs = Date.now() * 1000 - BEFORE_US;
        const statement = { realm, minTimeUs: timeUs, maxTimeUs: timeUs };
        await client.deliver(await device.envelope({ frames: [frame({ timeUs })], statement }));
      }
      client.raw.cut();
      await delay(random.below(KILL_WITHIN_MS));
      await gateway.kill();
      gateway = await GatewayProcess.start(home, options);
    }
    const forged = await sealAndForge(gateway);
    // Another look, with nothing left to forge, at what became of transactions that were given up.
    await delay(500);
    await gateway.stop();

    const mints = await mintsOf(node, CHAIN_ID);
    expect([...mints.values()].every((times) => times === 1)).toBe(true);
    expect(mints.size).toBe(forged);
    expect(forged).toBeGreaterThanOrEqual(ROUNDS);
    const db = new Database(join(home, 'data', 'ledger.sqlite'));
    const rows = db
      .prepare(
        `SELECT hash, account, nonce, purpose, state, failure, sends, raw, block_hash AS blockHash
         FROM chain_tx ORDER BY rowid`,
      )
      .all() as JournalledTransaction[];
    const tokens = db
      .prepare<[], string>(
        "SELECT json_extract(token, '$.tokenId') FROM batches WHERE state = 'forged'",
      )
      .pluck()
      .all();
    db.close();
    expect([...tokens].sort()).toEqual([...mints.keys()].sort());
    const states = await expectJournalExplains(node, operator.address, rows);
    console.log(
      `network kill test: ${forged} datasets, ${mints.size} tokens; transactions ${JSON.stringify(states)}`,
    );
  },
  120_000 + ROUNDS * 15_000,
);
