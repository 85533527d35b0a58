/** Holds the distance to the live edge by playing a little faster or slower. */
import { LEAST_MARGIN_S } from "./line";

export const SLOWEST = 0.94;
export const FASTEST = 1.06;
const DEAD_BAND_S = 0.06;
const PER_SECOND = 0.12;
/** Farther behind than it should be by more than this, it jumps: catching up would take most of a minute. */
export const MOST_BEHIND_S = 2.5;
const LEAST_AFTER_JUMP_S = 0.2;

export interface Move {
  rate: number;
  /** Jump forward so many seconds; null to play on. */
  skipS: number | null;
}

/**
 * The distance is that to the live edge, the sound that could be here by now. Just before a block comes, the edge is a
 * whole block past what is buffered; what is then left is the margin.
 */
export class RateControl {
  marginS = LEAST_MARGIN_S;
  private block: number;
  /** Larger blocks were announced: slow down until there is enough for them. */
  private building = false;
  /** Blocks have shrunk by this, and the distance has not yet come down. */
  private shrunkS = 0;

  constructor(blockS: number) {
    this.block = blockS;
  }

  /** Seconds of sound that come at once. */
  get blockS(): number {
    return this.block;
  }

  set blockS(blockS: number) {
    if (blockS > this.block) this.building = true;
    this.shrunkS = Math.max(0, this.shrunkS + this.block - blockS);
    this.block = blockS;
  }

  /** The distance to hold. */
  get targetS(): number {
    return this.block + this.marginS;
  }

  /** The least distance to begin or go on with: less would run dry before the next block. */
  get leastS(): number {
    return this.block + this.marginS / 2;
  }

  /** Takes the distance to the live edge, and the seconds of sound ahead. */
  update(distanceS: number, aheadS: number): Move {
    const error = distanceS - this.targetS;
    if (error < DEAD_BAND_S) this.shrunkS = 0;
    if (error > -DEAD_BAND_S) this.building = false;
    if (error > MOST_BEHIND_S + this.shrunkS && aheadS - error > LEAST_AFTER_JUMP_S) return { rate: 1, skipS: error };
    if (this.building) return { rate: SLOWEST, skipS: null };
    if (Math.abs(error) < DEAD_BAND_S) return { rate: 1, skipS: null };
    const rate = 1 + PER_SECOND * (error - Math.sign(error) * DEAD_BAND_S);
    return { rate: Math.round(Math.min(FASTEST, Math.max(SLOWEST, rate)) * 1000) / 1000, skipS: null };
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
