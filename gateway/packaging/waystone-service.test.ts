import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { EXIT } from '../cli/exit-code.js';

const unit = readFileSync(new URL('./waystone.service', import.meta.url), 'utf8');

/** Values of a setting, in the order of the file. */
function values(name: string): string[] {
  return [...unit.matchAll(new RegExp(`^${name}=(.*)$`, 'gm'))].map((match) => match[1] ?? '');
}

describe('systemd unit', () => {
  it('starts the command that the package has', () => {
    const { bin } = JSON.parse(
      readFileSync(new URL('../package.json', import.meta.url), 'utf8'),
    ) as { bin: { waystone: string } };
    const file = bin.waystone.replace('./', 'gateway/');
    expect(values('ExecStart')).toEqual([
      `/usr/bin/node --single-threaded-gc ${file} start --init`,
    ]);
  });

  it('has its home where systemd makes a folder for it alone', () => {
    expect(values('Environment')).toContain(
      `WAYSTONE_HOME=/var/lib/${values('StateDirectory')[0]}`,
    );
    expect(values('StateDirectoryMode')).toEqual(['0700']);
    expect(values('User')).toEqual(['waystone']);
  });

  it('is not started again when the configuration is wrong', () => {
    expect(values('Restart')).toEqual(['on-failure']);
    expect(values('RestartPreventExitStatus')).toEqual([String(EXIT.usage)]);
  });

  it('only has lines that are a comment, a section or a setting', () => {
    for (const line of unit.split('\n')) expect(line).toMatch(/^(#.*|\[\w+\]|\w+=.*)?$/);
    expect(values('Type')).toEqual(['simple']);
    expect(values('MemoryDenyWriteExecute')).toEqual([]);
  });
});
