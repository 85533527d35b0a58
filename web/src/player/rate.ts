/** Holds the distance to the live edge by playing a little faster or slower. */

export const SLOWEST = 0.97;
export const FASTEST = 1.04;
const DEAD_BAND_S = 0.06;
const MOST_TARGET_S = 2;

export interface Move {
  rate: number;
  /** Jump to this distance behind the end, in seconds; null to play on. */
  seekBehindS: number | null;
}

export class RateControl {
  private mean: number | null = null;
  private target: number;

  /**
   * `targetS`: the least that should lie ahead, just before the next block comes.
   * `blockS`: how much comes at once.
   */
  constructor(
    private readonly targetS: number,
    private readonly blockS: number,
  ) {
    this.target = targetS;
  }

  /** Where to begin, behind the end of what is buffered. */
  get startBehindS(): number {
    return this.target + this.blockS;
  }

  /** Playback ran dry: keep more from now on. */
  stalled(): void {
    this.target = Math.min(MOST_TARGET_S, this.target + 0.2);
    this.mean = null;
  }

  /** Takes the seconds ahead now; `elapsedS` since the last call. */
  update(aheadS: number, elapsedS: number): Move {
    this.target = Math.max(this.targetS, this.target - elapsedS / 120);
    const limit = Math.max(3 * this.target, this.target + 1.2) + this.blockS;
    if (aheadS > limit) {
      this.mean = null;
      return { rate: 1, seekBehindS: this.startBehindS };
    }
    const weight = Math.min(1, elapsedS / 0.8);
    this.mean = this.mean === null ? aheadS : this.mean + (aheadS - this.mean) * weight;
    const error = this.mean - (this.target + this.blockS / 2);
    if (Math.abs(error) < DEAD_BAND_S) return { rate: 1, seekBehindS: null };
    const rate = 1 + 0.12 * (error - Math.sign(error) * DEAD_BAND_S);
    return { rate: Math.round(Math.min(FASTEST, Math.max(SLOWEST, rate)) * 1000) / 1000, seekBehindS: null };
  }
}

export interface Range {
  start: number;
  end: number;
}

/**
 * Where to jump across a hole, or null. Browsers stop some 50 ms before the end of a range and never cross to the
 * next by themselves, so the jump comes while a little is left.
 */
export function acrossGap(ranges: readonly Range[], now: number): number | null {
  for (const [index, range] of ranges.entries()) {
    const next = ranges[index + 1];
    if (now < range.start - 0.01) return range.start + 0.01;
    if (now <= range.end) return next && range.end - now < 0.12 ? next.start + 0.01 : null;
  }
  return null;
}
