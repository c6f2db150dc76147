import type { DeviceStatus } from '../../core/view.js';
import type { AddCommand } from '../cli.js';
import { ago, count, plain, table } from '../format.js';

/** Devices that the API gives at once. */
const PAGE_ITEMS = 1000;

export const addDevices: AddCommand = (program, act) => {
  const devices = program
    .command('devices')
    .description('list, enrol and revoke devices')
    .addHelpText('after', '\nExample:\n  waystone devices add did:key:zQ3sh… --label "car 7"');

  const list = devices
    .command('list')
    .description('list the enrolled devices')
    .addHelpText('after', '\nExample:\n  waystone devices list');
  act(list, async (call) => {
    const api = await call.api();
    const devices: DeviceStatus[] = [];
    for (let path = '/v1/devices'; ; ) {
      const page = await api.get<{ devices: DeviceStatus[] }>(path);
      devices.push(...page.devices);
      const last = page.devices.at(-1);
      if (last === undefined || page.devices.length < PAGE_ITEMS) break;
      path = `/v1/devices?after=${encodeURIComponent(last.did)}`;
    }
    call.print({ devices }, () => deviceTable(devices, call.terminal.nowMs() * 1000));
    return undefined;
  });

  const add = devices
    .command('add')
    .argument('<did>', "did:key of the device's signing key")
    .description('enrol a device')
    .option('--label <text>', 'a name for people')
    .addHelpText('after', '\nExample:\n  waystone devices add did:key:zQ3sh… --label "car 7"');
  act<{ label?: string }>(add, async (call, did) => {
    const { label } = call.options;
    const { body } = await (await call.api()).ask<DeviceStatus>('POST', '/v1/devices', {
      body: { did, ...(label !== undefined && { label }) },
    });
    call.print(body, () => `enrolled ${body.did} (${body.keyType})\n`);
    return undefined;
  });

  const revoke = devices
    .command('revoke')
    .argument('<did>', 'did:key of the device')
    .description('refuse everything that the device sends from now on')
    .option('--reason <text>', 'why, for the records')
    .addHelpText('after', '\nExample:\n  waystone devices revoke did:key:zQ3sh… --reason stolen');
  act<{ reason?: string }>(revoke, async (call, did = '') => {
    const { reason } = call.options;
    const query = reason === undefined ? '' : `?reason=${encodeURIComponent(reason)}`;
    const path = `/v1/devices/${encodeURIComponent(did)}${query}`;
    const { body } = await (await call.api()).ask<DeviceStatus>('DELETE', path);
    call.print(body, () => `revoked ${body.did}${body.label ? ` (${plain(body.label)})` : ''}\n`);
    return undefined;
  });
};

function deviceTable(devices: readonly DeviceStatus[], nowUs: number): string {
  return table(
    ['DEVICE', 'LABEL', 'KEY', 'STATE', 'LAST SEEN', '>FRAMES', '>REFUSED', '>GAPS'],
    devices.map((device) => [
      device.did,
      device.label,
      device.keyType,
      device.revokedAtUs !== null ? 'revoked' : device.connected ? 'connected' : 'away',
      device.lastSeenUs === null ? 'never' : ago(device.lastSeenUs, nowUs),
      count(device.frames),
      count(device.refused),
      count(device.gaps.length),
    ]),
    'no device is enrolled; add one with waystone devices add <did>',
  );
}
