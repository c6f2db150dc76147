import type { DiskRecord } from './journal.js';

/** A change that no sync has made durable. */
interface Change<Before> {
  readonly at: number;
  readonly before: Before;
  /** A sync that covered it has failed: no later one makes it durable by itself. */
  isLost: boolean;
}

/** Changes of one thing, a page or a size or the names in a folder, in order. */
export class Changes<Before> {
  readonly list: Change<Before>[] = [];

  add(at: number, before: Before): void {
    this.list.push({ at, before, isLost: false });
  }

  /**
   * Everything before `end` is durable, if there was anything left to be written: after a failed sync the system takes
   * a page as clean, so a sync alone that is tried again writes nothing.
   */
  synced(end: number): void {
    if (!this.list.some(({ at, isLost }) => at < end && !isLost)) return;
    this.list.splice(0, this.list.filter(({ at }) => at < end).length);
  }

  failed(end: number): void {
    for (const change of this.list) if (change.at < end) change.isLost = true;
  }
}

/** Changes of the names in a folder: after a failed sync, one name that is changed says nothing about another. */
class NameChanges extends Changes<DiskRecord> {
  override synced(end: number): void {
    const covered = this.list.filter(({ at }) => at < end);
    const written = new Set(
      covered.flatMap(({ before, isLost }) => (isLost ? [] : namesOf(before))),
    );
    const isDurable = ({ at, before, isLost }: Change<DiskRecord>): boolean =>
      at < end && (!isLost || written.has(namesOf(before).at(-1) ?? ''));
    const left = this.list.filter((change) => !isDurable(change));
    this.list.splice(0, this.list.length, ...left);
  }
}

/** Names in its folder that a change is about; of a rename the new one last. */
function namesOf({ kind, name, inode, b }: DiskRecord): string[] {
  const [from = '', to = ''] = name.split('/');
  if (kind !== 'R') return [name];
  return b === inode ? [from, to] : [to];
}

export const PAGE_BYTES = 4096;

/** What may not be on disk of one file. */
export class UnsyncedFile {
  /** By number of the page: what stood there before each change, maybe less than a page at the file's end. */
  readonly pages = new Map<number, Changes<Buffer>>();
  readonly size = new Changes<number>();

  write({ at, a: start, b: end, c: size, data }: DiskRecord): void {
    for (let from = start; from < end; from += PAGE_BYTES) {
      const page = from / PAGE_BYTES;
      let changes = this.pages.get(page);
      if (changes === undefined) {
        changes = new Changes<Buffer>();
        this.pages.set(page, changes);
      }
      changes.add(at, data.subarray(from - start, from - start + PAGE_BYTES));
    }
    this.size.add(at, size);
  }

  all(): Changes<unknown>[] {
    return [this.size, ...this.pages.values()];
  }
}

/** What may be lost in a power cut. */
export interface Unsynced {
  /** By inode. */
  readonly files: ReadonlyMap<number, UnsyncedFile>;
  /** Changes of names, by the inode of their folder: of a rename, that of the new name. */
  readonly folders: ReadonlyMap<number, Changes<DiskRecord>>;
}

export function unsyncedOf(records: readonly DiskRecord[]): Unsynced {
  const files = new Map<number, UnsyncedFile>();
  const folders = new Map<number, NameChanges>();
  for (const record of records) {
    const { kind, inode, at, a } = record;
    if (kind === 'W') {
      const file = files.get(inode) ?? new UnsyncedFile();
      files.set(inode, file);
      file.write(record);
    } else if (kind === 'S' || kind === 'F') {
      const things = [...(files.get(inode)?.all() ?? []), folders.get(inode) ?? new NameChanges()];
      for (const changes of things) kind === 'S' ? changes.synced(a) : changes.failed(a);
    } else {
      const names = folders.get(inode) ?? new NameChanges();
      folders.set(inode, names);
      names.add(at, record);
    }
  }
  return { files, folders };
}
