import { WaystoneError } from '../../core/errors.js';
import type { RelayStatus } from '../../core/view.js';
import type { AddCommand } from '../cli.js';
import { ago, count, table } from '../format.js';

const EXAMPLE = 'waystone relays add depot-7 --devices did:key:zQ3sh…,did:key:zDn…';

export const addRelays: AddCommand = (program, act) => {
  const relays = program
    .command('relays')
    .description('list, add, change and remove relays, which publish for other devices')
    .addHelpText('after', `\nExample:\n  ${EXAMPLE}`);

  const list = relays
    .command('list')
    .description('list the relays')
    .addHelpText('after', '\nExample:\n  waystone relays list');
  act(list, async (call) => {
    const answer = await (await call.api()).get<{ relays: RelayStatus[] }>('/v1/relays');
    call.print(answer, () => relayTable(answer.relays, call.terminal.nowMs() * 1000));
    return undefined;
  });

  const add = relays
    .command('add')
    .argument('<name>', 'its MQTT user name: a-z, 0-9 and "-"')
    .description('let a bridge or gateway of your own publish for enrolled devices')
    .option('--devices <did,…>', 'the devices that it carries')
    .option('--all-devices', 'it carries every device, those to come included')
    .option('--did <did>', 'it logs in as this enrolled device; without, it gets a secret')
    .addHelpText('after', `\nExample:\n  ${EXAMPLE}`);
  act<CarriedOptions & { did?: string }>(add, async (call, name) => {
    const { did } = call.options;
    const devices = carriedOf(call.options);
    const { body } = await (await call.api()).ask<RelayStatus & { secret: string | null }>(
      'POST',
      '/v1/relays',
      { body: { name, devices, ...(did !== undefined && { did }) } },
    );
    call.print(body, () => addedText(body));
    return undefined;
  });

  const set = relays
    .command('set')
    .argument('<name>', 'the relay')
    .description('give a relay other devices; its password stays')
    .option('--devices <did,…>', 'the devices that it carries from now on')
    .option('--all-devices', 'it carries every device, those to come included')
    .addHelpText('after', '\nExample:\n  waystone relays set depot-7 --all-devices');
  act<CarriedOptions>(set, async (call, name = '') => {
    const devices = carriedOf(call.options);
    const path = `/v1/relays/${encodeURIComponent(name)}/devices`;
    const { body } = await (await call.api()).ask<RelayStatus>('PUT', path, { body: { devices } });
    call.print(body, () => `${body.name} carries ${carriedText(body)} now\n`);
    return undefined;
  });

  const remove = relays
    .command('remove')
    .argument('<name>', 'the relay')
    .description('let a relay in no more; what it brought stays')
    .addHelpText('after', '\nExample:\n  waystone relays remove depot-7');
  act(remove, async (call, name = '') => {
    const path = `/v1/relays/${encodeURIComponent(name)}`;
    const { body } = await (await call.api()).ask<RelayStatus>('DELETE', path);
    call.print(body, () => `removed ${body.name}\n`);
    return undefined;
  });
};

interface CarriedOptions {
  readonly devices?: string;
  readonly allDevices?: boolean;
}

/** @throws WaystoneError USAGE unless exactly one of the two options is given. */
function carriedOf({ devices, allDevices }: CarriedOptions): readonly string[] | 'all' {
  if ((devices === undefined) === (allDevices === undefined)) {
    throw new WaystoneError('USAGE', 'name its devices with --devices, or give --all-devices');
  }
  return devices?.split(',').map((one) => one.trim()) ?? 'all';
}

function addedText(relay: RelayStatus & { secret: string | null }): string {
  const added = `added ${relay.name}, which carries ${carriedText(relay)}\n`;
  if (relay.secret === null) return `${added}it logs in as ${relay.did}\n`;
  return (
    `${added}user name  ${relay.name}\npassword   ${relay.secret}\n` +
    'The password is shown this once; only its hash is kept.\n'
  );
}

function carriedText({ devices }: RelayStatus): string {
  if (devices === null) return 'every device';
  return devices.length === 1 ? 'one device' : `${count(devices.length)} devices`;
}

function relayTable(relays: readonly RelayStatus[], nowUs: number): string {
  return table(
    ['RELAY', 'CARRIES', 'LOGS IN', 'STATE', 'ADDED'],
    relays.map((relay) => [
      relay.name,
      carriedText(relay),
      relay.did === null ? 'with a secret' : `as ${relay.did}`,
      relay.connected ? 'connected' : 'away',
      ago(relay.addedAtUs, nowUs),
    ]),
    'there is no relay; add one with waystone relays add <name>',
  );
}
