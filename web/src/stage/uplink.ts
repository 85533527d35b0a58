/**
 * How a voice is to be sent over the line that there is: pure, told what the server reports, and what it decides is
 * applied by the WHIP session. A browser left alone sends 64 kbit/s of Opus in 50 packets a second, 87 kbit/s with
 * their headers, whatever the line holds: nothing of it is understood at 40 kbit/s.
 */

/** One way to send. `frameMs`: sound in a packet; `red`: each packet repeats the one before (RFC 2198). */
export interface Sending {
  bitrate: number;
  frameMs: 20 | 60;
  red: boolean;
}

/** What the last report says: packets lost (0 to 1), and the round trip in seconds, null if it is not known. */
export interface Report {
  nowMs: number;
  lost: number;
  roundTripS: number | null;
}

/** From the best to what 40 kbit/s bear; with headers 87, 55, and 24 kbit/s. */
export const STEPS: readonly Sending[] = [
  { bitrate: 64_000, frameMs: 20, red: false },
  { bitrate: 32_000, frameMs: 20, red: false },
  { bitrate: 16_000, frameMs: 60, red: false },
];
/** What is repeated is at half the rate, so that the line bears no more than before. */
const REPEATED: Sending = { bitrate: 32_000, frameMs: 20, red: true };

const QUEUE_S = 0.2;
const CROWDED = 0.25;
const JAMMED = 0.4;
/** Below it in-band FEC at the full rate sounds better than RED at half of it: PESQ 4.4 and 4.3 at 5 %, 3.3 and 4.1 at 20 %. */
const LOSSY = 0.08;
const CLEAN = 0.02;
const SETTLE_MS = 3_000;
const TRY_FIRST_MS = 15_000;
const TRY_MOST_MS = 240_000;
const RED_KEPT_MS = 20_000;

export class Uplink {
  private step = 0;
  private changedMs = -Infinity;
  private goodSinceMs: number | null = null;
  private lossyMs = -Infinity;
  private tryAfterMs = TRY_FIRST_MS;
  private raisedMs = -Infinity;
  private shortestS = Infinity;
  private lossySince: number | null = null;

  /** Returns how to send from now on. */
  observe({ nowMs, lost, roundTripS }: Report): Sending {
    if (roundTripS !== null) this.shortestS = Math.min(this.shortestS, roundTripS);
    const queueS = roundTripS === null ? 0 : roundTripS - this.shortestS;
    const crowded = queueS > QUEUE_S || lost > CROWDED;
    this.follow(nowMs, lost, crowded, queueS);
    const settled = nowMs - this.changedMs >= SETTLE_MS;
    if (crowded && settled && this.step < STEPS.length - 1) this.lower(nowMs, queueS > 2 * QUEUE_S || lost > JAMMED);
    else if (this.goodSinceMs !== null && nowMs - this.goodSinceMs >= this.tryAfterMs && this.step > 0)
      this.raise(nowMs);
    return this.sending(nowMs);
  }

  private follow(nowMs: number, lost: number, crowded: boolean, queueS: number): void {
    if (crowded || lost > CLEAN || queueS > QUEUE_S / 2) this.goodSinceMs = null;
    else this.goodSinceMs ??= nowMs;
    if (lost <= LOSSY || crowded) this.lossySince = null;
    else this.lossySince ??= nowMs;
    // Twice in a row: one lost packet of few is no lossy line.
    if (this.lossySince !== null && nowMs - this.lossySince >= 1_500) this.lossyMs = nowMs;
  }

  /** `jammed`: the line has by far less than we send, and seconds would go by on the way down. */
  private lower(nowMs: number, jammed: boolean): void {
    if (nowMs - this.raisedMs < 2 * TRY_FIRST_MS) this.tryAfterMs = Math.min(TRY_MOST_MS, this.tryAfterMs * 2);
    this.step = jammed ? STEPS.length - 1 : this.step + 1;
    this.changedMs = nowMs;
    this.goodSinceMs = null;
  }

  private raise(nowMs: number): void {
    this.step -= 1;
    this.changedMs = this.raisedMs = nowMs;
    this.goodSinceMs = null;
  }

  private sending(nowMs: number): Sending {
    const plain = STEPS[this.step] as Sending;
    return this.step === 0 && nowMs - this.lossyMs < RED_KEPT_MS ? REPEATED : plain;
  }
}
