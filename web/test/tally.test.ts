import { describe, expect, it } from "vitest";
import { Tally } from "../src/player/tally";

describe("Tally", () => {
  it("counts what lies between the first sound and the stop", () => {
    const tally = new Tally();
    tally.status("connecting", 0);
    tally.status("playing", 400);
    tally.status("stalled", 10_400);
    tally.status("playing", 10_900);
    expect(tally.take(12_000)).toEqual({ stalls: 1, stall_ms: 500, played_ms: 11_100 });
    tally.status("idle", 13_000);
    expect(tally.take(20_000)).toEqual({ stalls: 0, stall_ms: 0, played_ms: 1_000 });
  });

  it("takes the way over to another transport for one interruption", () => {
    const tally = new Tally();
    for (const [status, at] of [
      ["playing", 0],
      ["stalled", 1_000],
      ["connecting", 2_000],
      ["failed", 3_000],
      ["connecting", 4_000],
      ["playing", 5_000],
    ] as const) {
      tally.status(status, at);
    }
    expect(tally.take(6_000)).toEqual({ stalls: 1, stall_ms: 4_000, played_ms: 2_000 });
  });

  it("counts an interruption that goes on in each report by its length, and once", () => {
    const tally = new Tally();
    tally.status("playing", 0);
    tally.status("stalled", 1_000);
    expect(tally.take(3_000)).toEqual({ stalls: 1, stall_ms: 2_000, played_ms: 1_000 });
    expect(tally.take(4_000)).toEqual({ stalls: 0, stall_ms: 1_000, played_ms: 0 });
  });
});
