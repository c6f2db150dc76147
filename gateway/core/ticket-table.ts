/** Items at once; what the settings allow is far below. */
const PLACES_MAX = 2 ** 24;

/** Uses of a place until its tickets come again; all tickets are below 2^53. */
const USES = 2 ** 28;

/**
 * Hands out tickets for items, and takes each item back once. Its arrays are used over and over. A Map is given a new
 * table for each few dozen of entries that come and go, and V8 lets the old table point to the new one: once one of them
 * has reached the old generation, no scavenge frees any that comes after it, nor what they held.
 */
export class TicketTable<Item extends object> {
  readonly #items: (Item | undefined)[] = [];
  /** The ticket of each place's present or next use. */
  readonly #tickets: number[] = [];
  readonly #free: number[] = [];

  get size(): number {
    return this.#items.length - this.#free.length;
  }

  /** @returns its ticket. */
  add(item: Item): number {
    const place = this.#free.pop() ?? this.#newPlace();
    this.#items[place] = item;
    return this.#tickets[place] as number;
  }

  /** The item of a ticket, which is void from then on; undefined for one that is not out. */
  take(ticket: number): Item | undefined {
    const place = ticket % PLACES_MAX;
    const item = this.#items[place];
    if (item === undefined || this.#tickets[place] !== ticket) return undefined;
    this.#items[place] = undefined;
    this.#tickets[place] = (ticket + PLACES_MAX) % (PLACES_MAX * USES);
    this.#free.push(place);
    return item;
  }

  /** All that are out, which are void from then on. */
  takeAll(): Item[] {
    const out = this.#items.flatMap((item, place) =>
      item === undefined ? [] : [this.#tickets[place] as number],
    );
    return out.map((ticket) => this.take(ticket) as Item);
  }

  #newPlace(): number {
    const place = this.#items.length;
    if (place === PLACES_MAX) throw new Error(`more than ${PLACES_MAX} items at once`);
    this.#tickets.push(place);
    this.#items.push(undefined);
    return place;
  }
}
