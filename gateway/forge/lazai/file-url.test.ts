import { describe, expect, it } from 'vitest';
import { fileUrl } from './file-url.js';

const SECRET = 'a1'.repeat(32);

describe("a file's url", () => {
  it('is the published one with 16 bytes that follow from secret and generation alone', () => {
    const url = fileUrl('https://data.example/x/entries', SECRET, 0);
    expect(url).toMatch(/^https:\/\/data\.example\/x\/entries\?ws=[0-9a-f]{32}$/);
    expect(fileUrl('https://data.example/x/entries', SECRET, 0)).toBe(url);
    expect(fileUrl('https://data.example/x/entries', SECRET, 1)).not.toBe(url);
    expect(fileUrl('https://data.example/x/entries', 'a2'.repeat(32), 0)).not.toBe(url);
  });

  it('keeps what the published url asks for, and nothing behind a #', () => {
    const url = new URL(fileUrl('https://ipfs.example/ipfs/c1?download=true#part', SECRET, 0));
    expect(url.searchParams.get('download')).toBe('true');
    expect(url.searchParams.get('ws')).toHaveLength(32);
    expect(url.hash).toBe('');
  });

  it.each(['', 'entries', 'file:///srv/entries', 'ipfs://c1', 'https://user:pass@data.example/x'])(
    'cannot be made of "%s"',
    (published) => {
      expect(() => fileUrl(published, SECRET, 0)).toThrowError(
        expect.objectContaining({ code: 'LAZAI_URL_UNUSABLE' }),
      );
    },
  );

  it('that is unusable is told without its password', () => {
    expect(() => fileUrl('https://user:hunter2@data.example/x', SECRET, 0)).toThrowError(
      expect.objectContaining({ message: expect.not.stringContaining('hunter2') }),
    );
  });
});
