import { describe, expect, it } from "vitest";
import { Backoff, retryOf } from "../src/lib/backoff";
import { calendar } from "../src/lib/ics";
import { EventReader } from "../src/lib/sse";
import { clockText, instantOf, knownZone, remaining, sameClock, wallOf } from "../src/lib/time";

describe("Backoff", () => {
  it("doubles up to its most, within half and whole", () => {
    const least = new Backoff(100, 1_000, () => 0);
    const most = new Backoff(100, 1_000, () => 1);
    expect([1, 2, 3, 4, 5, 6].map(() => least.next())).toEqual([50, 100, 200, 400, 500, 500]);
    expect([1, 2, 3, 4, 5, 6].map(() => most.next())).toEqual([100, 200, 400, 800, 1_000, 1_000]);
  });

  it("never comes before the time that the server named", () => {
    expect(new Backoff(100, 1_000, () => 0).next(3)).toBe(3_000);
    expect(new Backoff(100, 1_000, () => 1).next(3)).toBe(3_750);
  });

  it.each([
    ["retry=2.5", 2.5],
    ["going away; retry=10", 10],
    ["", null],
    ["retry=soon", null],
  ])("reads %o", (reason, seconds) => expect(retryOf(reason)).toBe(seconds));
});

describe("EventReader", () => {
  it("puts events together from any pieces", () => {
    const text = ': hello\n\nevent: stage\ndata: {"a":\ndata: 1}\n\ndata: plain\r\n\r\n';
    for (let cut = 0; cut <= text.length; cut += 1) {
      const reader = new EventReader();
      expect([...reader.push(text.slice(0, cut)), ...reader.push(text.slice(cut))]).toEqual([
        { event: "stage", data: '{"a":\n1}' },
        { event: "message", data: "plain" },
      ]);
    }
  });
});

describe("time", () => {
  it("counts down", () => {
    expect(remaining(90_061_000, 0)).toEqual({ days: 1, hours: 1, minutes: 1, seconds: 1 });
    expect(remaining(0, 5)).toEqual({ days: 0, hours: 0, minutes: 0, seconds: 0 });
  });

  it.each(["Asia/Beirut", "UTC", "America/St_Johns", "Asia/Kathmandu"])(
    "goes to the wall clock of %s and back",
    (zone) => {
      const instant = Date.UTC(2026, 10, 22, 20, 0);
      expect(instantOf(wallOf(instant, zone), zone)).toBe(instant);
    },
  );

  it("knows summer time", () => {
    expect(instantOf("2026-07-01T20:00", "Europe/Berlin")).toBe(Date.UTC(2026, 6, 1, 18));
    expect(instantOf("2026-12-01T20:00", "Europe/Berlin")).toBe(Date.UTC(2026, 11, 1, 19));
    expect(instantOf("tomorrow", "UTC")).toBeNull();
  });

  it("compares clocks, not names", () => {
    expect(sameClock(Date.UTC(2026, 0, 1), "Europe/Berlin", "Europe/Paris")).toBe(true);
    expect(sameClock(Date.UTC(2026, 0, 1), "Europe/Berlin", "Asia/Beirut")).toBe(false);
    expect(knownZone("Mars/Olympus")).toBeNull();
  });

  it("writes durations", () => {
    expect([5, 65, 3_725].map((seconds) => clockText(seconds, "en"))).toEqual(["0:05", "1:05", "1:02:05"]);
  });
});

describe("calendar", () => {
  const text = calendar({
    uid: "demo@host",
    title: "Night; day, and \\",
    description: "سطر طويل ".repeat(20),
    url: "https://host/r/demo",
    startMs: Date.UTC(2026, 10, 22, 20),
    durationMs: 3_600_000,
    stampMs: 0,
  });

  it("folds lines at 75 octets without cutting a character", () => {
    const lines = text.split("\r\n");
    for (const line of lines) expect(new TextEncoder().encode(line).length).toBeLessThanOrEqual(75);
    expect(text.replace(/\r\n /g, "")).toContain("سطر طويل ".repeat(20));
  });

  it("escapes, and rings before", () => {
    expect(text).toContain("SUMMARY:Night\\; day\\, and \\\\\r\n");
    expect(text).toContain("DTSTART:20261122T200000Z\r\nDTEND:20261122T210000Z\r\n");
    expect(text).toContain("TRIGGER:-PT10M\r\n");
  });
});
