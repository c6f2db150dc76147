import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { ForgePause } from './forge-pause.js';

it('stays as it was set over restarts', () => {
  const folder = mkdtempSync(join(tmpdir(), 'waystone-pause-'));
  try {
    const first = new ForgePause(folder);
    expect(first.isOn).toBe(false);
    first.set(true);
    first.set(true);
    expect(first.isOn).toBe(true);
    const second = new ForgePause(folder);
    expect(second.isOn).toBe(true);
    second.set(false);
    expect(second.isOn).toBe(false);
    expect(new ForgePause(folder).isOn).toBe(false);
    expect(readdirSync(folder)).toEqual([]);
  } finally {
    rmSync(folder, { recursive: true });
  }
});
