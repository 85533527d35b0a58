import { describe, expect, it } from "vitest";
import { I18n } from "../src/i18n/i18n";
import { waitWords } from "../src/listen/line_card";
import { CAP_STOPS, indexOf, RATE_STOPS, typed, valueAt } from "../src/stage/door_dials";

describe("the door's dials", () => {
  it("take what people type, in both scripts", () => {
    expect(typed("", true)).toBeNull();
    expect(typed(" 5,000 ", true)).toBe(5_000);
    expect(typed("٥٬٠٠٠", true)).toBe(5_000);
    expect(typed("٢٫٥", false)).toBe(2.5);
    for (const wrong of ["many", "-1", "5e", "Infinity"]) expect(typed(wrong, false)).toBeUndefined();
    expect(typed("2.5", true)).toBeUndefined();
  });

  it("slide over round numbers, and past them to no limit", () => {
    for (const stops of [CAP_STOPS, RATE_STOPS]) {
      expect([...stops].sort((a, b) => a - b)).toEqual(stops);
      for (const [at, stop] of stops.entries()) expect(indexOf(stops, stop)).toBe(at);
      expect(valueAt(stops, indexOf(stops, null))).toBeNull();
      expect(valueAt(stops, indexOf(stops, 1e9))).toBe(stops.at(-1));
    }
    expect(valueAt(CAP_STOPS, indexOf(CAP_STOPS, 4_000))).toBe(5_000);
  });
});

describe("a wait in words", () => {
  it("is a range, and rounder the further away", () => {
    const en = new I18n("en");
    expect(waitWords(en, null)).toBe("nobody can tell yet");
    expect(waitWords(en, [2, 40])).toBe("within a minute");
    expect(waitWords(en, [185, 290])).toBe("in about 3–5 minutes");
    expect(waitWords(en, [110, 130])).toBe("in about 2 minutes");
    expect(waitWords(en, [4_000, 9_000])).toBe("in about 1.1–2.5 hours");
    expect(waitWords(new I18n("ar"), [185, 290])).toContain("3–5 دقائق");
  });
});
