import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { RoomFeed } from "../src/listen/feed";

describe("the room by polling", () => {
  let asked: number;
  let says: Record<string, unknown>;
  beforeEach(() => {
    asked = 0;
    vi.useFakeTimers();
    vi.stubGlobal("fetch", () => {
      asked += 1;
      return Promise.resolve(new Response(JSON.stringify({ room: "demo", server_time: "", ...says })));
    });
  });
  afterEach(() => {
    vi.useRealTimers();
    vi.unstubAllGlobals();
  });

  for (const [told, soonest, latest] of [
    [{}, 2, 5],
    [{ poll_s: 2 }, 2, 5],
    [{ poll_s: 10 }, 10, 25],
    [{ poll_s: 0.1 }, 2, 5],
  ] as const)
    it(`asks again between ${soonest} and ${latest} s where it is told ${JSON.stringify(told)}`, async () => {
      says = told;
      const never = () => false;
      const feed = new RoomFeed("demo", never, never);
      await feed.ask();
      await vi.advanceTimersByTimeAsync(soonest * 1_000 - 1);
      expect(asked).toBe(1);
      await vi.advanceTimersByTimeAsync((latest - soonest) * 1_000 + 2);
      expect(asked).toBeGreaterThan(1);
    });
});
