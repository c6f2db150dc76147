import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { TestDevice } from '../harness/device.js';
import { makeHome, removeHome, startInProcess, type TestGateway } from '../harness/gateway.js';
import { DeviceClient } from '../harness/mqtt.js';

const run = promisify(execFile);

const CHROMIUM_FLAGS = [
  '--headless',
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];

/** The status page in a real browser. */
describe('the status page', () => {
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

  /** The page's DOM as text after it has had time to ask the API. */
  const open = async (fragment: string): Promise<string> => {
    const { stdout } = await run('chromium', [
      ...CHROMIUM_FLAGS,
      `--user-data-dir=${join(home, `browser-${fragment.length}`)}`,
      '--virtual-time-budget=4000',
      '--dump-dom',
      `http://127.0.0.1:${gateway.httpPort}/${fragment}`,
    ]);
    return stdout;
  };

  it('shows batches and devices to who has the token', async () => {
    const device = new TestDevice(gateway.did);
    await gateway.enrol(device.did, '<b>car</b>');
    const client = await DeviceClient.open(gateway, device);
    await client.deliver(await device.envelope());
    await client.end();
    const dom = await open(`#token=${gateway.token}`);
    expect(dom).toContain(gateway.did);
    expect(dom).toMatch(/more entries: 1 of/);
    // What devices and operators wrote is shown as text.
    expect(dom).toContain('&lt;b&gt;car&lt;/b&gt;');
  });

  it('shows nothing of the gateway to anybody else', async () => {
    const dom = await open('#token=wrong');
    expect(dom).not.toContain(gateway.did);
  });
});
