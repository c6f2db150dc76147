import { execFile } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { decodeConfig, openSignedMessage, topicOf } from '@waystone/proto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { TestDevice } from '../harness/device.js';
import { makeHome, removeHome, startInProcess, type TestGateway } from '../harness/gateway.js';

const run = promisify(execFile);

/** Mosquitto's own client, as a device maker without our SDK would use it. */
describe('mosquitto_pub and mosquitto_sub', () => {
  let home: string;
  let gateway: TestGateway;

  beforeAll(async () => {
    home = await makeHome();
    gateway = await startInProcess(home);
  });
  afterAll(async () => {
    await gateway.stop();
    await removeHome(home);
  });

  const connection = async (device: TestDevice): Promise<string[]> => {
    const password = await device.loginToken();
    const place = ['-h', '127.0.0.1', '-p', String(gateway.mqttPort)];
    return [...place, '-V', 'mqttv311', '-i', device.topicId, '-u', device.topicId, '-P', password];
  };

  it('publish an envelope with QoS 1 that is acknowledged and stored', async () => {
    const device = new TestDevice(gateway.did);
    await gateway.enrol(device.did);
    const file = join(home, 'envelope');
    writeFileSync(file, await device.envelope());
    const topic = topicOf(device.topicId, 'up');
    const { stdout } = await run('mosquitto_pub', [
      ...(await connection(device)),
      ...['-q', '1', '-t', topic, '-f', file, '-d'],
    ]);
    expect(stdout).toMatch(/received PUBACK \(Mid: 1, RC:0\)/);
    expect(await gateway.device(device.did)).toMatchObject({ envelopes: 1, frames: 1, refused: 0 });
  });

  it('receive the signed settings on subscribing', async () => {
    const device = new TestDevice(gateway.did);
    await gateway.enrol(device.did);
    const { stdout } = await run('mosquitto_sub', [
      ...(await connection(device)),
      ...['-q', '1', '-t', topicOf(device.topicId, 'config'), '-C', '1', '-W', '20', '-F', '%x'],
    ]);
    const message = Buffer.from(stdout.trim(), 'hex');
    const body = openSignedMessage('config', message, gateway.publicKey, device.key.publicKey);
    expect(decodeConfig(body)).toMatchObject({
      gateway: gateway.did,
      streams: [{ id: 1, name: 'drive' }],
    });
  });

  it('is told that MQTT 5 is not spoken here', async () => {
    const device = new TestDevice(gateway.did);
    await gateway.enrol(device.did);
    const args = (await connection(device)).map((one) => (one === 'mqttv311' ? 'mqttv5' : one));
    const failed = run('mosquitto_pub', [...args, '-t', 'x', '-m', 'x', '-q', '1']);
    await expect(failed).rejects.toMatchObject({
      stderr: expect.stringMatching(/protocol version/i),
    });
  });
});
