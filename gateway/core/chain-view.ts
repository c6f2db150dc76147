import type { LogRecord, Manifest } from '@waystone/proto';

/** What the chain holds of a dataset, by its name there: (iDAO, logId, index). */
export type DatasetOnChain =
  | { readonly status: 'absent' }
  | {
      /** `committed`: its window is still open; `forged`: final, with a DAT; `void`: a fault was upheld, it never gets one. */
      readonly status: 'committed' | 'forged' | 'void';
      /** Root of the tree over the entries, 32 bytes. */
      readonly root: Uint8Array;
      /** Number of entries. */
      readonly count: number;
      /** SHA-256 of the manifest, 32 bytes. */
      readonly manifestHash: Uint8Array;
      /** Key id of the gateway that committed it, as registered to the iDAO; 32 bytes. */
      readonly gateway: Uint8Array;
      /** Committed range of times, µs UTC. */
      readonly minTimeUs: number;
      readonly maxTimeUs: number;
      /** The DAT in decimal, and the address that owns it; null until it is forged. */
      readonly tokenId: string | null;
      readonly owner: string | null;
    };

/** Reads datasets from the chain; all that a verifier needs of it. */
export interface ChainReader {
  /**
   * @param record the dataset's log record; its logId and index name the dataset under the manifest's iDAO.
   * @throws when the chain cannot be read or is not the one that the manifest names.
   */
  datasetOnChain(manifest: Manifest, record: LogRecord): Promise<DatasetOnChain>;
}
