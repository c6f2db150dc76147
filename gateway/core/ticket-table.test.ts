import { expect, it } from 'vitest';
import { TicketTable } from './ticket-table.js';

it('gives each item out once, and nothing for tickets that are not out', () => {
  const table = new TicketTable<{ name: string }>();
  const [one, two, three] = [{ name: 'one' }, { name: 'two' }, { name: 'three' }];
  const first = table.add(one);
  const second = table.add(two);
  expect(table.take(first + second + 1)).toBeUndefined();
  expect(table.take(first)).toBe(one);
  // Its place is another's now.
  const third = table.add(three);
  expect(table.take(first)).toBeUndefined();
  expect(table.size).toBe(2);
  expect([table.take(third), table.take(second)]).toEqual([three, two]);
  expect(table.take(third)).toBeUndefined();
  expect(table.size).toBe(0);
});

it('has no ticket twice, while one item stays and others come and go', () => {
  const table = new TicketTable<{ k: number }>();
  const stays = { k: -1 };
  const seen = new Set([table.add(stays)]);
  for (let k = 0; k < 100_000; k += 1) {
    const item = { k };
    const ticket = table.add(item);
    seen.add(ticket);
    expect(table.take(ticket)).toBe(item);
  }
  expect(seen.size).toBe(100_001);
  expect(table.size).toBe(1);
  expect(table.take([...seen][0] as number)).toBe(stays);
});

it('gives all out at once', () => {
  const table = new TicketTable<{ k: number }>();
  const tickets = [0, 1, 2].map((k) => table.add({ k }));
  table.take(tickets[1] as number);
  expect(table.takeAll()).toEqual([{ k: 0 }, { k: 2 }]);
  expect(table.size).toBe(0);
  expect(table.take(tickets[0] as number)).toBeUndefined();
});
