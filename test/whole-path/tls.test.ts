import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { Device, DeviceKey } from '@waystone/device-sdk';
import { expect, it } from 'vitest';
import { makeHome, removeHome, startInProcess } from '../harness/gateway.js';

/** A certificate for localhost that signs itself. */
const TLS_FOLDER = new URL('../../device-sdk/testing/tls/', import.meta.url);

it('devices publish over TLS to a gateway whose certificate they trust, and to no other', async () => {
  const home = await makeHome();
  const certificate = fileURLToPath(new URL('test-only.crt', TLS_FOLDER));
  const key = fileURLToPath(new URL('test-only.key', TLS_FOLDER));
  const gateway = await startInProcess(home, {
    set: [`mqtt.tlsCertificateFile=${certificate}`, `mqtt.tlsKeyFile=${key}`],
  });
  const signer = DeviceKey.generate();
  await gateway.enrol(signer.did);
  const url = `mqtts://localhost:${gateway.mqttPort}`;
  const trusting = new Device({ url, signer, gateway: gateway.did, ca: readFileSync(certificate) });
  const wary = new Device({ url, signer, gateway: gateway.did, reconnectMinMs: 50 });
  try {
    await trusting.connect();
    const [stored] = await trusting.publish('drive', [{ timeUs: Date.now() * 1000 }]);
    expect(stored?.count).toBe(1);
    const refused = new Promise((resolve) => wary.once('unreachable', resolve));
    wary.connect().catch(() => {});
    await expect(refused).resolves.toMatchObject({
      message: expect.stringMatching(/certificate/i),
    });
  } finally {
    await wary.close({ deadlineMs: 0 });
    await trusting.close();
    await gateway.stop();
    await removeHome(home);
  }
});
