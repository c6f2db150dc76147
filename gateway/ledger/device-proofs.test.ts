import { keyId, toHex } from '@waystone/proto';
import Database from 'better-sqlite3';
import { expect, it } from 'vitest';
import { testKeyNamed } from '../../proto/test-data/test-signer.js';
import { deviceProofOperations } from './device-proofs.js';
import { createTables } from './schema.js';

const place = { chainId: 5, registry: `0x${'aB'.repeat(20)}`, idao: `0x${'cd'.repeat(20)}` };
const elsewhere = { ...place, chainId: 6 };
const ids = ['one', 'two'].map((name) => keyId(testKeyNamed('secp256k1', name).publicKey));

it('keeps the newest proof of each device, for one place', () => {
  const db = new Database(':memory:');
  createTables(db);
  for (const [at, id] of ids.entries()) {
    db.prepare(
      'INSERT INTO devices (id, did, key_id, label, enrolled_at_us) VALUES (?, ?, ?, ?, 0)',
    ).run(at + 1, `did ${at}`, Buffer.from(id), '');
  }
  const { keepProof, provenDevices, proofsOf } = deviceProofOperations(db);
  const [a, b] = [new Uint8Array(64).fill(1), new Uint8Array(64).fill(2)];
  keepProof(1, place, 100, a);
  keepProof(1, { ...place, registry: place.registry.toLowerCase() }, 200, b);
  keepProof(2, elsewhere, 300, a);
  expect(provenDevices(place)).toEqual([[1, 200]]);
  const names = [...ids.map(toHex), '00'.repeat(32)];
  expect(proofsOf(place, names)).toEqual([
    { deviceId: names[0], expiry: 200, signature: '02'.repeat(64) },
  ]);
  expect(proofsOf(elsewhere, names)).toMatchObject([{ deviceId: names[1], expiry: 300 }]);
  expect(() => keepProof(3, place, 1, a)).toThrow(/FOREIGN KEY/);
  db.close();
});
