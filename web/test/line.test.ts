import { describe, expect, it } from "vitest";
import { LEAST_MARGIN_S, Line, MOST_MARGIN_S } from "../src/player/line";
import { FASTEST, RateControl, SLOWEST } from "../src/player/rate";

const STEP_S = 0.24;

/** Numbers between 0 and 1, the same in every run. */
function numbers(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state * 1_103_515_245 + 12_345) % 2 ** 31;
    return state / 2 ** 31;
  };
}

/** Feeds a line one block a step for so many seconds; returns the time of the last. */
function feed(line: Line, seconds: number, lateS: (step: number) => number, fromS = 0): number {
  let nowS = fromS;
  for (let step = Math.round(fromS / STEP_S); step * STEP_S < fromS + seconds; step += 1) {
    // TCP: a late block holds back those behind it.
    nowS = Math.max(nowS, (step + 1) * STEP_S + 5 + lateS(step));
    line.note((step + 1) * STEP_S, nowS);
  }
  return nowS;
}

describe("Line", () => {
  it("keeps little on a good line", () => {
    const line = new Line();
    const random = numbers(1);
    const now = feed(line, 60, () => random() * 0.03);
    expect(line.marginS).toBe(LEAST_MARGIN_S);
    expect(now - line.liveS(now)!).toBeCloseTo(5, 1);
  });

  it("keeps more on a lossy one: room for two losses in a row", () => {
    const line = new Line();
    const random = numbers(2);
    feed(line, 60, () => 0.08 + (random() < 0.02 ? 0.45 : 0));
    expect(line.marginS).toBeGreaterThan(0.9);
    expect(line.marginS).toBeLessThan(1.3);
  });

  it("grows at once and falls slowly", () => {
    const line = new Line();
    let now = feed(line, 30, () => 0);
    now = feed(line, 1, () => 0.7, now - 5);
    const grown = line.marginS;
    expect(grown).toBeGreaterThan(1.4);
    now = feed(line, 60, () => 0, now - 5);
    expect(line.marginS).toBeGreaterThan(grown - 0.3);
    feed(line, 200, () => 0, now - 5);
    expect(line.marginS).toBe(LEAST_MARGIN_S);
  });

  it("keeps more after each time it ran dry, within bounds", () => {
    const line = new Line();
    feed(line, 10, () => 0);
    line.stalled();
    expect(line.marginS).toBeCloseTo(LEAST_MARGIN_S + 0.3);
    feed(line, 0.24, () => 0, 100); // after a long outage
    expect(line.marginS).toBeGreaterThan(LEAST_MARGIN_S + 0.2);
    for (let i = 0; i < 20; i += 1) line.stalled();
    expect(line.marginS).toBe(MOST_MARGIN_S);
  });

  it("does not take the burst after a reconnection for lateness", () => {
    const line = new Line();
    let now = feed(line, 10, () => 0);
    line.interrupted(STEP_S, now + 2);
    now = feed(line, 1, (step) => Math.max(0, 2.3 - (step * STEP_S - 10)), now - 5 + STEP_S);
    expect(line.marginS).toBe(LEAST_MARGIN_S);
  });

  it("follows a clock that drifts and a route that has become longer", () => {
    const line = new Line();
    feed(line, 30, () => 0);
    const now = feed(line, 130, () => 0.3, 30);
    expect(now - line.liveS(now)!).toBeCloseTo(5.3);
    feed(line, 10, () => 0.1, 160);
    expect(now - line.liveS(now)!).toBeCloseTo(5.1);
  });

  it("knows no live edge before the first block", () => expect(new Line().liveS(3)).toBeNull());
});

/** Plays over a line whose blocks change size as announced; times are of the room. */
class Listener {
  readonly line = new Line();
  readonly rate = new RateControl(STEP_S);
  readonly rates: number[] = [];
  stalls = 0;
  private position = 10 - STEP_S - LEAST_MARGIN_S;
  private end = 10;
  private dry = false;

  /** Goes on to `untilS` with blocks of so many steps. */
  play(fromS: number, untilS: number, steps: number): void {
    const dtS = 0.02;
    for (let now = fromS; now < untilS - 1e-6; now += dtS) {
      const step = Math.floor(now / STEP_S + 1e-9);
      const due = Math.floor(step / steps) * steps * STEP_S;
      if (due > this.end + 1e-9) {
        this.end = due;
        this.line.note(due, now);
      }
      this.rate.marginS = this.line.marginS;
      const distance = (this.line.liveS(now) ?? now) - this.position;
      const move = this.rate.update(distance, this.end - this.position);
      this.rates.push(move.rate);
      this.position += move.skipS ?? 0;
      const enough = this.position + dtS <= this.end;
      if (!enough && !this.dry) this.stalls += 1;
      this.dry = !enough;
      if (enough) this.position += dtS * move.rate;
    }
  }

  distance(now: number): number {
    return (this.line.liveS(now) ?? 0) - this.position;
  }
}

describe("a player through changes of the cadence", () => {
  it("has built what larger blocks need when they come, and loses it again after they shrink", () => {
    const listener = new Listener();
    listener.play(10, 20, 1);
    let now = 20;
    for (const steps of [2, 4, 8, 16]) {
      const block = listener.rate.blockS;
      listener.rate.blockS = steps * STEP_S;
      const ahead = (steps * STEP_S - block) / (1 - SLOWEST);
      listener.play(now, now + ahead, steps / 2);
      now += ahead;
      expect(listener.distance(now)).toBeGreaterThan(steps * STEP_S);
      listener.play(now, now + 20, steps);
      now += 20;
    }
    expect(listener.stalls).toBe(0);
    listener.rate.blockS = STEP_S;
    listener.play(now, now + 120, 1);
    expect(listener.stalls).toBe(0);
    expect(listener.distance(now + 120)).toBeCloseTo(STEP_S + LEAST_MARGIN_S, 0);
    expect(Math.min(...listener.rates)).toBe(SLOWEST);
    expect(Math.max(...listener.rates)).toBe(FASTEST);
  });
});
