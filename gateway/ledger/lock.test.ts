import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { lockDataFolder } from './lock.js';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'waystone-lock-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const locked = expect.objectContaining({ code: 'DATA_FOLDER_LOCKED' });

/** Another process that holds the lock as the ledger's thread does. */
async function otherProcess() {
  const dist = new URL('../dist/ledger/lock.js', import.meta.url).href;
  const script = `
    const { lockDataFolder } = await import(${JSON.stringify(dist)});
    globalThis.lock = lockDataFolder(${JSON.stringify(folder)});
    console.log('locked');
    setInterval(() => {}, 1000);`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', script], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  await once(child.stdout, 'data');
  return child;
}

describe('the data folder', () => {
  it('is held by one process, until that dies, however it dies', async () => {
    const other = await otherProcess();
    expect(() => lockDataFolder(folder)).toThrow(locked);
    expect(() => lockDataFolder(folder)).toThrow(folder);
    other.kill('SIGKILL');
    await once(other, 'exit');
    lockDataFolder(folder).release();
  });

  it('is held once within a process too, and free after it is released', () => {
    const lock = lockDataFolder(folder);
    expect(() => lockDataFolder(folder)).toThrow(locked);
    lock.release();
    lockDataFolder(folder).release();
  });

  it('is made when it is missing', () => {
    lockDataFolder(join(folder, 'a', 'b')).release();
  });
});
