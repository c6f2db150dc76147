import { randomInt } from 'node:crypto';
import { afterEach, expect, it } from 'vitest';
import { residentBytesOf } from '../bench/machine.js';
import { GatewayProcess, makeHome, removeHome } from '../harness/gateway.js';
import { waitFor } from '../harness/wait.js';
import { brokenDevice, type FuzzAnswers, publishWrong, stranger } from './fuzz-clients.js';
import { FuzzDevice } from './fuzz-device.js';
import { HealthyDevices, UNHURT } from './healthy-device.js';
import { randomFrom } from './random.js';

const PACKETS = Number(process.env.WAYSTONE_FUZZ_PACKETS ?? 100_000);
const SEED = Number(process.env.WAYSTONE_FUZZ_SEED ?? randomInt(2 ** 32));

/** Shares of the packets: each stranger and broken device costs a connection, so most are envelopes. */
const STRANGERS = Math.round(PACKETS * 0.1);
const BROKEN = Math.round(PACKETS * 0.01);
const ENVELOPES = PACKETS - STRANGERS - BROKEN;

/** Connections at once of each kind. */
const STRANGERS_AT_ONCE = 16;
const BROKEN_AT_ONCE = 6;
const PUBLISHERS = 6;

const KEY_TYPES = ['secp256k1', 'Ed25519', 'P-256'] as const;

/** Far above what the gateway takes with these connections, far below what a leak of them would take. */
const RESIDENT_MIB_MAX = 600;

const mib = (bytes: number): number => Math.round(bytes / 2 ** 20);

let gateway: GatewayProcess | undefined;
let home: string | undefined;

afterEach(async () => {
  await gateway?.kill();
  if (home !== undefined) await removeHome(home);
});

/** Does `work` so many times, so many at once. */
async function repeat(
  count: number,
  atOnce: number,
  work: (worker: number) => Promise<void>,
): Promise<void> {
  let left = count;
  const worker = async (_: unknown, number: number): Promise<void> => {
    while (left-- > 0) await work(number);
  };
  await Promise.all(Array.from({ length: atOnce }, worker));
}

it(
  `answers ${PACKETS} malformed packets and envelopes with codes, while healthy devices lose nothing`,
  async () => {
    home = await makeHome();
    gateway = await GatewayProcess.start(home, {
      set: [
        'mqtt.connectsPerSecondMax=100000',
        'mqtt.connectBurstMax=100000',
        'mqtt.loginsPerMinuteMax=10000',
        'mqtt.messagesPerSecondMax=0',
        'mqtt.bytesPerSecondMax=0',
        // All come from one address; what slows that down has tests of its own.
        'mqtt.loginDelaySecondsMax=0',
      ],
    });
    const { did, mqttPort } = gateway;
    const pid = gateway.process.pid as number;
    console.log(`fuzz: seed ${SEED}, ${PACKETS} packets`);
    const fuzzDevices = Array.from(
      { length: BROKEN_AT_ONCE + PUBLISHERS },
      (_, k) => new FuzzDevice(did, KEY_TYPES[k % KEY_TYPES.length] ?? 'Ed25519', k),
    );
    for (const device of fuzzDevices) await gateway.enrol(device.did);
    const broken = fuzzDevices.slice(0, BROKEN_AT_ONCE);
    const publishers = fuzzDevices.slice(BROKEN_AT_ONCE);
    const unknown = new FuzzDevice(did, 'Ed25519', 1_000_000);
    const healthy = await HealthyDevices.start(gateway, 3);
    const before = residentBytesOf(pid);
    let most = before;
    const watch = setInterval(() => {
      most = Math.max(most, residentBytesOf(pid));
    }, 200);

    const randoms = Array.from({ length: 100 }, (_, k) => randomFrom(SEED + k));
    const random = (k: number) => randoms[k] as (typeof randoms)[number];
    let letIn = 0;
    let answers: FuzzAnswers[];
    try {
      const strangers = repeat(STRANGERS, STRANGERS_AT_ONCE, (k) =>
        stranger(mqttPort, k % 2 === 0 ? unknown : (publishers[0] as FuzzDevice), random(k)),
      );
      const brokenDevices = repeat(BROKEN, BROKEN_AT_ONCE, async (k) => {
        const outcome = await brokenDevice(mqttPort, broken[k] as FuzzDevice, random(30 + k));
        if (outcome === 'let in') letIn += 1;
      });
      answers = await Promise.all(
        publishers.map((device, k) => {
          const count = Math.floor((ENVELOPES + k) / PUBLISHERS);
          return publishWrong(mqttPort, device, count, random(50 + k));
        }),
      );
      await Promise.all([strangers, brokenDevices]);
    } finally {
      clearInterval(watch);
    }
    healthy.check();

    const codes: Record<string, number> = {};
    for (const [code, count] of answers.flatMap((one) => [...one.codes])) {
      codes[code] = (codes[code] ?? 0) + count;
    }
    const answered = Object.values(codes).reduce((sum, count) => sum + count, 0);
    console.log(
      `fuzz: ${STRANGERS} connections of strangers and ${BROKEN} of devices, each ended; ` +
        `${ENVELOPES} envelopes, ${answered} answered: ${JSON.stringify(codes)}\n` +
        `fuzz: resident ${mib(before)} MiB before, at most ${mib(most)}`,
    );
    expect(letIn).toBe(BROKEN);
    // Every envelope has its answer, and whatever was not stored has a code.
    const faults = answers.map(({ wrong, unanswered }) => ({ wrong, unanswered }));
    expect(faults).toEqual(publishers.map(() => ({ wrong: 0, unanswered: 0 })));
    expect(answered).toBe(ENVELOPES);
    expect(Object.keys(codes)).not.toContain('retry');
    for (const [k, device] of publishers.entries()) {
      expect((await gateway.device(device.did)).envelopes).toBe(answers[k]?.stored.size);
    }
    expect(mib(most)).toBeLessThan(RESIDENT_MIB_MAX);
    expect(await healthy.finish()).toMatchObject(UNHURT);
    await waitFor('the connections to be gone', async () => {
      return (await gateway?.metric('waystone_mqtt_connections')) === healthy.all.length;
    });
    expect(await gateway.metric('waystone_envelopes_waiting')).toBe(0);
    expect(gateway.process.exitCode).toBe(null);
    await gateway.stop();
    expect(gateway.process.exitCode).toBe(0);
  },
  120_000 + PACKETS * 5,
);
