import fc from 'fast-check';
import { expect, it } from 'vitest';
import type { SignedEnvelope } from './envelope-builder.js';
import { MemoryOutbox } from './memory-outbox.js';

function envelope(firstSequence: number, size = 1, session = 1): SignedEnvelope {
  return {
    payload: new Uint8Array(size),
    statementHash: new Uint8Array(32),
    session: new Uint8Array(16).fill(session),
    stream: 1,
    firstSequence,
    count: 1,
  };
}

it('gives what was not let go, in the order it came', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(fc.option(fc.nat(30)), { maxLength: 60 }), async (steps) => {
      const outbox = new MemoryOutbox();
      const model = new Map<number, number>(); // position to sequence
      let added = 0;
      for (const step of steps) {
        if (step === null) {
          await outbox.add(envelope(added));
          const last = (await outbox.read(-1, 1_000)).at(-1);
          model.set(last?.position as number, added);
          added += 1;
        } else {
          await outbox.remove(step);
          model.delete(step);
        }
        const items = await outbox.read(-1, 1_000);
        expect(items.map((item) => item.envelope.firstSequence)).toEqual([...model.values()]);
        expect(outbox.size).toBe(model.size);
        const [first] = items;
        if (first !== undefined) {
          expect(await outbox.read(first.position, 2)).toEqual(items.slice(1, 3));
        }
      }
    }),
  );
});

it('is full at its bounds, in count and in bytes, until something is let go', async () => {
  const byCount = new MemoryOutbox({ envelopesMax: 2 });
  await byCount.add(envelope(0));
  expect(byCount.isFull).toBe(false);
  await byCount.add(envelope(1));
  expect(byCount.isFull).toBe(true);
  await byCount.remove(0);
  expect(byCount.isFull).toBe(false);

  const byBytes = new MemoryOutbox({ bytesMax: 10 });
  await byBytes.add(envelope(0, 10));
  expect(byBytes.isFull).toBe(true);
  await byBytes.remove(0);
  expect(byBytes.isFull).toBe(false);
});

it('names each session once', async () => {
  const outbox = new MemoryOutbox();
  for (const session of [1, 2, 1, 2]) await outbox.add(envelope(0, 1, session));
  expect(outbox.sessions().map(([first]) => first)).toEqual([1, 2]);
});

it('refuses bounds that hold nothing', () => {
  expect(() => new MemoryOutbox({ envelopesMax: 0 })).toThrow(RangeError);
});
