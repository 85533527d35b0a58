/**
 * What a listener's own line does to the blocks: when each could have come, how late it comes, and how much should
 * therefore lie ahead. Times are seconds: `nowS` of this page's monotonic clock, `endS` of the room.
 */

export const LEAST_MARGIN_S = 0.4;
export const MOST_MARGIN_S = 2;
/** Margin = this much and so many times the lateness that all but one in a hundred blocks keep. */
const SPARE_S = 0.15;
const TIMES_LATE = 2;
const SHARE = 0.99;
const REMEMBER_S = 60;
const MOST_REMEMBERED = 300;
/** The earliest arrival counts for so long, so that a drifting clock or a new route is followed. */
const EARLIEST_S = 30;
const EARLIEST_BLOCKS = 8;
const AFTER_STALL_S = 0.3;
/** Seconds that the margin falls in a second; in an outage nothing is learnt, and it stays. */
const FALL = 1 / 90;
const MOST_FALL_S = 5;
/** What comes so soon after a connection's beginning was held back by others, not by the line. */
const SETTLE_S = 1;

interface Arrival {
  atS: number;
  lateS: number;
}

export class Line {
  private arrivals: Arrival[] = [];
  private earliest = Number.POSITIVE_INFINITY;
  private earlierEarliest = Number.POSITIVE_INFINITY;
  private since = { atS: 0, blocks: 0 };
  private settledS = Number.NEGATIVE_INFINITY;
  private usual = LEAST_MARGIN_S;
  private margin = LEAST_MARGIN_S;
  private notedS = 0;

  /** A block came whose sound ends at `endS`. */
  note(endS: number, nowS: number): void {
    this.margin = Math.max(this.usual, this.margin - Math.min(MOST_FALL_S, nowS - this.notedS) * FALL);
    this.notedS = nowS;
    const offset = nowS - endS;
    if (this.since.blocks >= EARLIEST_BLOCKS && nowS - this.since.atS >= EARLIEST_S) {
      this.earlierEarliest = this.earliest;
      this.earliest = Number.POSITIVE_INFINITY;
      this.since.blocks = 0;
    }
    if (this.since.blocks === 0) this.since.atS = nowS;
    this.since.blocks += 1;
    this.earliest = Math.min(this.earliest, offset);
    if (nowS < this.settledS) return;
    this.arrivals.push({ atS: nowS, lateS: offset - this.offset });
    const old = this.arrivals.findIndex((each) => nowS - each.atS < REMEMBER_S);
    this.arrivals.splice(0, Math.max(old, this.arrivals.length - MOST_REMEMBERED));
    this.usual = this.needed();
    this.margin = Math.max(this.usual, this.margin);
  }

  /** What comes next comes in a burst, after a pause that says nothing about this line. */
  interrupted(blockS: number, nowS: number): void {
    this.settledS = nowS + SETTLE_S + blockS;
  }

  /** Playback ran dry: keep more from now on, and give it back slowly. */
  stalled(): void {
    this.margin = Math.min(MOST_MARGIN_S, this.margin + AFTER_STALL_S);
  }

  /** The room's time whose sound would be here now if nothing had held it up; null before the first block. */
  liveS(nowS: number): number | null {
    return Number.isFinite(this.offset) ? nowS - this.offset : null;
  }

  /** How much should be left when the next block is due. Grows at once, falls slowly. */
  get marginS(): number {
    return this.margin;
  }

  private get offset(): number {
    return Math.min(this.earliest, this.earlierEarliest);
  }

  private needed(): number {
    const late = this.arrivals.map((each) => each.lateS).sort((a, b) => a - b);
    const usual = late[Math.ceil(SHARE * late.length) - 1] ?? 0;
    return Math.min(MOST_MARGIN_S, Math.max(LEAST_MARGIN_S, SPARE_S + TIMES_LATE * usual));
  }
}
