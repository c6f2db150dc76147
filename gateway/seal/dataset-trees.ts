import { type MerkleTree, toHex } from '@waystone/proto';
import { damaged, type EntriesReader } from '../dataset/entries-reader.js';

/** Entries of the datasets whose trees are kept, 8 MB of hashes. */
const ENTRIES_MAX = 131_072;

/**
 * Trees over the entries of the datasets that were sealed or asked for last. Making one takes longer than everything that
 * a device asks for, and a fleet that comes back asks for the same few.
 */
export class DatasetTrees {
  readonly #entriesMax: number;
  /** By root, the last used at the end. */
  readonly #kept = new Map<
    string,
    { readonly entries: number; readonly tree: Promise<MerkleTree> }
  >();
  #entries = 0;

  /** @param entriesMax of all that are kept, unless the last one alone has more. */
  constructor(entriesMax = ENTRIES_MAX) {
    this.#entriesMax = entriesMax;
  }

  /** Roots of those that are kept. */
  get roots(): string[] {
    return [...this.#kept.keys()];
  }

  /** Keeps the tree of a dataset that was just sealed. */
  keep(tree: MerkleTree): void {
    this.#use(toHex(tree.root), tree.size, () => Promise.resolve(tree));
  }

  /**
   * The tree of a dataset.
   *
   * @param root in hex.
   * @throws WaystoneError DATASET_DAMAGED when the entries have another root.
   */
  async of(root: string, entries: EntriesReader): Promise<MerkleTree> {
    const tree = this.#use(root, entries.count, () => treeOf(root, entries));
    try {
      return await tree;
    } catch (error) {
      if (this.#kept.get(root)?.tree === tree) this.#forget(root);
      throw error;
    }
  }

  #use(root: string, entries: number, make: () => Promise<MerkleTree>): Promise<MerkleTree> {
    const tree = this.#kept.get(root)?.tree ?? make();
    this.#forget(root);
    this.#kept.set(root, { entries, tree });
    this.#entries += entries;
    for (const oldest of this.#kept.keys()) {
      if (this.#entries <= this.#entriesMax || oldest === root) break;
      this.#forget(oldest);
    }
    return tree;
  }

  #forget(root: string): void {
    this.#entries -= this.#kept.get(root)?.entries ?? 0;
    this.#kept.delete(root);
  }
}

async function treeOf(root: string, entries: EntriesReader): Promise<MerkleTree> {
  const tree = await entries.tree();
  if (toHex(tree.root) === root) return tree;
  throw damaged(entries.directory, new RangeError(`its entries have the root ${toHex(tree.root)}`));
}
