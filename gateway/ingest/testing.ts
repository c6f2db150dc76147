import net from 'node:net';
import {
  type Code,
  didFromKey,
  encodeLoginToken,
  loginTokenInput,
  topicIdFromDid,
} from '@waystone/proto';
import { generate } from 'mqtt-packet';
import { type TestKey, testKeyNamed } from '../../proto/test-data/test-signer.js';
import type { Config } from '../core/config.js';
import { GatewayKey } from '../core/gateway-key.js';
import type { ArrivedEnvelope, Decision, DeviceRecord } from '../core/ports.js';
import { ReceiptMaker } from '../core/receipt-maker.js';
import { Broker } from './broker.js';
import type { LoginDeps } from './login.js';
import { loginChecks } from './login-checks.js';

const GATEWAY = new GatewayKey(testKeyNamed('secp256k1', 'broker gateway').privateKey);
const GATEWAY_DID = didFromKey(GATEWAY.publicKey);
const KEY = testKeyNamed('secp256k1', 'broker device');
const DID = didFromKey(KEY.publicKey);
export const TOPIC_ID = topicIdFromDid(DID);
export const DEVICE: DeviceRecord = {
  id: 1,
  did: DID,
  keyId: new Uint8Array(32).fill(1),
  publicKey: KEY.publicKey,
  revokedAtUs: null,
};

/** The checks of the login thread, in this one. */
const checks = loginChecks({ did: GATEWAY_DID, publicKey: GATEWAY.publicKey, enrolment: null });
const CHECKS: LoginDeps['checks'] = {
  isDid: async (did) => checks.isDid(did),
  token: async (token, key) => checks.token(token, key),
  hello: async (payload, key) => checks.hello(payload, key),
  secret: async (secret, kept) => checks.secret(secret, kept),
};

/** A broker whose verifiers and ledger are the test itself. */
export async function startBroker(
  options: {
    enter?: () => Promise<null>;
    find?: (did: string) => DeviceRecord | undefined;
    config?: Partial<Config['mqtt']>;
  } = {},
) {
  const submitted: ArrivedEnvelope[] = [];
  const counted: Code[] = [];
  const receipts = new ReceiptMaker(GATEWAY, new Uint8Array(16));
  const body = (code: Code, kind: 'refused' | 'retry') => ({
    device: DEVICE.keyId,
    statement: new Uint8Array(32),
    outcome: kind === 'retry' ? { kind, code, afterSeconds: 30 } : { kind, code },
  });
  const silent = () => undefined;
  const broker = await Broker.start(
    {
      host: '127.0.0.1',
      port: 0,
      connectionsMax: 50,
      connectionsPerAddressMax: 50,
      connectsPerSecondMax: 1000,
      connectBurstMax: 1000,
      loginsPerMinuteMax: 100,
      inFlightPerConnectionMax: 4,
      inFlightPerConnectionBytesMax: 1_000_000,
      inFlightPerDeviceMax: 8,
      inFlightPerDeviceBytesMax: 1_000_000,
      inFlightMax: 100,
      inFlightBytesMax: 1_000_000,
      messagesPerSecondMax: 0,
      bytesPerSecondMax: 0,
      burstSeconds: 1,
      unsentBytesMax: 1_000_000,
      slowReaderSeconds: 30,
      keepAliveSecondsMax: 60,
      connectTimeoutSeconds: 5,
      loginDelaySecondsMax: 10,
      ...options.config,
    },
    {
      logger: { trace: silent, debug: silent, info: silent, warn: silent, error: silent },
      clock: { nowUs: () => 1, isTrusted: () => true, monotonicMs: () => 1 },
      login: {
        checks: CHECKS,
        find: options.find ?? (() => DEVICE),
        findRelay: () => undefined,
        relayOf: () => undefined,
        enter: options.enter ?? (async () => null),
      },
      submit: (envelope) => submitted.push(envelope),
      hello: async () => null,
      config: () => new Uint8Array(1),
      refusalReceipt: (_device, _payload, code, kind) => receipts.forBody(body(code, kind)),
      count: (code) => counted.push(code),
    },
  );
  const decide = (ticket: number, kind: Decision['kind'], code: Code | null = null): void => {
    const receipt = receipts.forBody(body(code ?? 'OVERLOADED', 'retry'));
    broker.decide([
      {
        ticket,
        device: DEVICE.id,
        kind,
        frames: 1,
        receipt,
        refusal: null,
        retryCode: code,
      },
    ]);
  };
  return { broker, submitted, counted, decide };
}

/** A login token of the device, or of another one with that key. */
export function loginToken(key: TestKey = KEY): string {
  const input = loginTokenInput('secp256k1', {
    device: didFromKey(key.publicKey),
    gateway: GATEWAY_DID,
    session: new Uint8Array(16),
    counter: 1,
  });
  return encodeLoginToken(input, key.sign(input));
}

export async function until(condition: () => boolean): Promise<void> {
  const end = Date.now() + 30_000;
  while (!condition()) {
    if (Date.now() > end) throw new Error('waited in vain');
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}

/** Sends a CONNECT and does nothing more. */
export function openSocket(broker: Broker, password: string, clientId = TOPIC_ID): net.Socket {
  const socket = net.connect(broker.port, '127.0.0.1');
  socket.on('error', () => undefined);
  socket.write(
    generate({
      cmd: 'connect',
      protocolId: 'MQTT',
      protocolVersion: 4,
      clean: true,
      keepalive: 0,
      clientId,
      username: clientId,
      password: Buffer.from(password),
    }),
  );
  return socket;
}
