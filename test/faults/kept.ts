import { expect } from 'vitest';
import { verifyPath } from '../../gateway/audit/verify.js';
import type { TestGateway } from '../harness/gateway.js';
import type { PublishingRecord } from './publishing-record.js';
import { framesOf, listDatasets, namesOfDatasets, readEntries } from './stored-datasets.js';

/**
 * Once everything is sealed: reads every dataset from the disk, prints and checks that what was acknowledged is there,
 * once, as it was published, and that each dataset verifies.
 *
 * @param home where the folder `data` is, if it is not the gateway's home.
 */
export async function expectKept(
  gateway: TestGateway,
  record: PublishingRecord,
  home = gateway.home,
): Promise<void> {
  const entries = await readEntries(home);
  const stored = new Map(entries.map((entry) => [entry.statement, entry]));
  const frames = entries.flatMap(framesOf);
  const acknowledged = [...record.receipted.keys(), ...record.acknowledged];
  const lost = acknowledged.filter((statement) => !stored.has(statement));
  const listed = await listDatasets(gateway);
  console.log(
    `published: ${record.published.size} envelopes, acknowledged: ${acknowledged.length}, datasets: ${listed.length}\n` +
      `acked but lost: ${lost.length}, stored twice: ${frames.length - new Set(frames).size}`,
  );
  expect(lost).toEqual([]);
  expect(frames.length - new Set(frames).size).toBe(0);
  expect(stored.size).toBe(entries.length);
  expect(record.refused).toEqual([]);
  expect(record.changed).toEqual([]);
  for (const { root: _root, entryLeaf, ...entry } of entries) {
    expect(record.published.get(entry.statement)).toEqual(entry);
    const receipt = record.receipted.get(entry.statement);
    if (receipt !== undefined) expect(receipt.entryLeaf).toBe(entryLeaf);
  }
  expect(await namesOfDatasets(home)).toEqual(listed.map(({ root }) => root).sort());
  expect(listed.map(({ logIndex }) => logIndex)).toEqual(listed.map((_, index) => index));
  for (const { folder } of listed) {
    expect((await verifyPath(folder, { gatewayDid: gateway.did })).result).toBe('verified');
  }
}
