/** Adds up how a listener fared: time played, interruptions and their length. Times are ms of one monotonic clock. */
import type { Status } from "./player";

export interface Fared {
  stalls: number;
  stall_ms: number;
  played_ms: number;
}

export class Tally {
  private doing: "playing" | "stalled" | null = null;
  private sinceMs = 0;
  private stalls = 0;
  private stallMs = 0;
  private playedMs = 0;

  /**
   * The player's status is this since `nowMs`. Between the first sound and the listener's stop everything but playing
   * is an interruption, also the way over to another transport.
   */
  status(status: Status, nowMs: number): void {
    const over = status === "idle" || status === "blocked";
    const doing = status === "playing" ? "playing" : over || this.doing === null ? null : "stalled";
    if (doing === this.doing) return;
    this.account(nowMs);
    if (doing === "stalled") this.stalls += 1;
    this.doing = doing;
  }

  /** Returns the sums since the last call. */
  take(nowMs: number): Fared {
    this.account(nowMs);
    const fared = {
      stalls: this.stalls,
      stall_ms: Math.round(this.stallMs),
      played_ms: Math.round(this.playedMs),
    };
    this.stalls = this.stallMs = this.playedMs = 0;
    return fared;
  }

  private account(nowMs: number): void {
    const passed = Math.max(0, nowMs - this.sinceMs);
    if (this.doing === "playing") this.playedMs += passed;
    if (this.doing === "stalled") this.stallMs += passed;
    this.sinceMs = nowMs;
  }
}
