import type { BatchStatus, DiskStatus, GatewayStatus } from '../../core/view.js';
import type { AddCommand } from '../cli.js';
import { count, pairs, size, span } from '../format.js';
import { batchTable } from './batches.js';

/** Batches that the status shows below its answers. */
const BATCHES_SHOWN = 5;

export const addStatus: AddCommand = (program, act) => {
  const command = program
    .command('status')
    .description('how the running gateway is: box, uplink, chain, batches')
    .addHelpText('after', '\nExample:\n  waystone status --json');
  act(command, async (call) => {
    const api = await call.api();
    const status = await api.get<GatewayStatus>('/v1/status');
    const { batches } = await api.get<{ batches: BatchStatus[] }>(
      `/v1/batches?limit=${BATCHES_SHOWN}`,
    );
    call.print(
      { ...status, newestBatches: batches },
      () => `${describeStatus(status)}\n${batchTable(batches)}`,
    );
    return undefined;
  });
};

function describeStatus(status: GatewayStatus): string {
  const { box, uplink, chain, totals } = status;
  const states = Object.entries(status.batches)
    .filter(([, batches]) => batches > 0)
    .map(([state, batches]) => `${count(batches)} ${state}`);
  return pairs([
    ['gateway', `${status.gateway}, ${status.version}`],
    ['up', span((status.nowUs - status.startedAtUs) / 1e6)],
    ['box', withReason(box.state, box.why)],
    ['', `${box.mqtt} with ${count(status.connections)} connected, ${box.http}`],
    [
      '',
      `disk ${size(box.diskFreeBytes)} free, data ${size(box.dataBytes)}, memory ${size(box.memoryBytes)}`,
    ],
    ...(box.disk === null ? [] : [['', describeDisk(box.disk)] as [string, string]]),
    ...(box.disk === null || box.disk.retentionWaits === ''
      ? []
      : [['', `nothing is removed for its age: ${box.disk.retentionWaits}`] as [string, string]]),
    ...(box.clockTrusted
      ? []
      : [['', 'clock not trusted: receive times are flagged'] as [string, string]]),
    ['uplink', withReason(uplink.state, uplink.why)],
    ['chain', withReason(`${chain.network}, id ${chain.chainId}`, chain.note)],
    ...(chain.gasPerDay === null
      ? []
      : [['', `about ${count(chain.gasPerDay)} gas a day`] as [string, string]]),
    ['frames', `${count(totals.frames)} in ${count(totals.envelopes)} envelopes`],
    ['', `${count(totals.duplicates)} duplicates, ${count(totals.refused)} refused`],
    ['devices', count(totals.devices)],
    ['datasets', `${count(totals.datasets)}, ${count(totals.forged)} with a DAT`],
    ['batches', states.join(', ') || 'none yet'],
  ]);
}

function describeDisk(disk: DiskStatus): string {
  const left =
    disk.hoursLeft === null
      ? 'no data comes'
      : `${size(disk.bytesPerSecond)} of data a second, room for ${span(disk.hoursLeft * 3600)} of outage`;
  return `not forged ${size(disk.unsealedBytes + disk.unforgedBytes)}, forged ${size(disk.forgedBytes)}; ${left}`;
}

function withReason(state: string, why: string): string {
  return why === '' ? state : `${state}: ${why}`;
}
