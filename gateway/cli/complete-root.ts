import { WaystoneError } from '../core/errors.js';
import type { DatasetStatus } from '../core/view.js';
import type { ApiClient } from './api-client.js';

/** The only root that starts with these digits, among the newest 1,000 datasets. */
export async function completeRoot(api: ApiClient, start: string): Promise<string> {
  if (!/^[0-9a-f]{4,63}$/.test(start)) return start;
  const { datasets } = await api.get<{ datasets: DatasetStatus[] }>('/v1/datasets?limit=1000');
  const roots = datasets.map(({ root }) => root).filter((root) => root.startsWith(start));
  if (roots.length === 1 && roots[0] !== undefined) return roots[0];
  throw new WaystoneError(
    'DATASET_UNKNOWN',
    roots.length === 0
      ? `no dataset's root starts with ${start}; waystone datasets list shows those there are`
      : `${roots.length} roots start with ${start}; give more digits`,
  );
}
