/**
 * Lets some work be done at once, and the rest wait in the order in which it came.
 * @module
 */

export interface Waiting {
  /** How much may wait; what comes then is refused. */
  readonly most: number;
  readonly refuse: () => Error;
}

export class Turns {
  private readonly atOnce: number;
  private readonly limit: Waiting | undefined;
  private readonly waiting: (() => void)[] = [];
  private underWay = 0;

  /** @param limit without one, any number waits. */
  constructor(atOnce: number, limit?: Waiting) {
    this.atOnce = atOnce;
    this.limit = limit;
  }

  async run<T>(work: () => Promise<T>): Promise<T> {
    if (this.underWay < this.atOnce) this.underWay += 1;
    else await this.turn();
    try {
      return await work();
    } finally {
      const next = this.waiting.shift();
      // The turn is handed over, so that nobody who comes meanwhile gets in between.
      if (next) next();
      else this.underWay -= 1;
    }
  }

  private turn(): Promise<void> {
    if (this.limit && this.waiting.length >= this.limit.most) throw this.limit.refuse();
    return new Promise((resolve) => this.waiting.push(resolve));
  }
}
