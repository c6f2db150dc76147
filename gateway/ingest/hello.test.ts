import {
  encodeSignedMessage,
  enrolmentMessage,
  type Hello,
  keyId,
  signedMessageInput,
  wire,
} from '@waystone/proto';
import { expect, it } from 'vitest';
import { flipS, type TestKey, testKeyNamed } from '../../proto/test-data/test-signer.js';
import { readHello } from './hello.js';

const gateway = testKeyNamed('secp256k1', 'hello gateway');
const place = { chainId: 31_337, registry: `0x${'ab'.repeat(20)}`, idao: `0x${'cd'.repeat(20)}` };
const EXPIRY = 1_900_000_000;

function hello(device: TestKey, enrolment?: Hello['enrolment']): Uint8Array {
  const body = wire.Hello.encode({
    state: wire.Hello.State.STATE_ONLINE,
    session: new Uint8Array(16).fill(1),
    counter: 2,
    ...(enrolment === undefined ? {} : { enrolment }),
  }).finish();
  const input = signedMessageInput(
    'hello',
    keyId(device.publicKey),
    keyId(gateway.publicKey),
    body,
  );
  return encodeSignedMessage('hello', body, device.sign(input));
}

const read = (
  device: TestKey,
  enrolment?: Hello['enrolment'],
  where: typeof place | null = place,
) => readHello(hello(device, enrolment), device.publicKey, gateway.publicKey, where);

const signed = (device: TestKey, where = place, expiry = EXPIRY) => ({
  expiry,
  signature: device.sign(enrolmentMessage(where, keyId(device.publicKey), 'device', expiry)),
});

it.each(['secp256k1', 'P-256'] as const)('takes a proof of a %s key, in either form', (type) => {
  const device = testKeyNamed(type, 'hello device');
  const proof = signed(device);
  expect(read(device, proof)).toMatchObject({ isOnline: true, enrolment: proof });
  const high = { ...proof, signature: flipS(type, proof.signature) };
  expect(read(device, high)).toMatchObject({ enrolment: proof });
});

it('leaves out a proof that is wrong, and takes the hello', () => {
  const device = testKeyNamed('secp256k1', 'hello device');
  const good = signed(device);
  const wrong: [Hello['enrolment'], typeof place | null][] = [
    [undefined, place],
    [good, null],
    [{ ...good, expiry: EXPIRY + 1 }, place],
    [{ ...good, signature: good.signature.subarray(1) }, place],
    [{ ...good, signature: new Uint8Array(64) }, place],
    [signed(testKeyNamed('secp256k1', 'another')), place],
    [signed(device, { ...place, chainId: 1 }), place],
    [signed(device, { ...place, registry: place.idao }), place],
    [signed(device, { ...place, idao: place.registry }), place],
  ];
  for (const [enrolment, where] of wrong) {
    expect(read(device, enrolment, where)).toMatchObject({ isOnline: true, enrolment: null });
  }
});
