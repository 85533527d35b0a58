/** When to try again: exponential with jitter, so that a crowd does not come back in one instant. */
export class Backoff {
  private attempts = 0;

  constructor(
    private readonly firstMs = 400,
    private readonly mostMs = 10_000,
    private readonly random: () => number = Math.random,
  ) {}

  /** Returns the next wait. `retryS`, the wait that a server asked for, is never undercut. */
  next(retryS: number | null = null): number {
    const full = Math.min(this.mostMs, this.firstMs * 2 ** this.attempts);
    this.attempts += 1;
    if (retryS !== null) return retryS * 1000 * (1 + this.random() / 4);
    return full * (0.5 + this.random() / 2);
  }

  get failures(): number {
    return this.attempts;
  }

  reset(): void {
    this.attempts = 0;
  }
}

/** Reads the wait out of a close reason: `retry=SECONDS`. */
export function retryOf(reason: string): number | null {
  const found = /(?:^|[\s;,])retry=(\d{1,4}(?:\.\d{1,3})?)/.exec(reason);
  return found ? Number(found[1]) : null;
}

/** Returns a number of milliseconds between the two. */
export function jitter(leastMs: number, mostMs: number, random: () => number = Math.random): number {
  return leastMs + (mostMs - leastMs) * random();
}
