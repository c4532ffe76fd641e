/**
 * What was opened, as a stack: closed in the reverse order, at the end as after a start that failed half-way.
 * @module
 */
export class Closers {
  private readonly stack: (() => unknown)[] = [];
  private closed: Promise<void> | undefined;

  /** @param close called once; what it promises is waited for before the next is closed. */
  add(close: () => unknown): void {
    this.stack.push(close);
  }

  /** Closes the rest too where one can't be closed, and rejects then with the first failure. May be called again. */
  close(): Promise<void> {
    this.closed ??= this.closeAll();
    return this.closed;
  }

  private async closeAll(): Promise<void> {
    const failures: unknown[] = [];
    for (const close of this.stack.splice(0).reverse()) {
      try {
        await close();
      } catch (error) {
        failures.push(error);
      }
    }
    if (failures.length > 0) throw failures[0];
  }
}
