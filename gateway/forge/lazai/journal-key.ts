import { datasetKey } from '../dataset-record.js';

/** Name of a dataset's record and intent: its chain, the registry of LazAI's, and the dataset of the iDAO. */
export function lazaiKey(
  { chainId, dataRegistry, idao }: { chainId: number; dataRegistry: string; idao: string },
  { logId, index }: { readonly logId: string; readonly index: number },
): string {
  return `lazai:${chainId}:${dataRegistry.toLowerCase()}:${datasetKey(idao, logId, index)}`;
}
