import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { RoomView } from "../src/api/types";
import { type Abilities, transports } from "../src/player/choice";
import { type Frame, Kind, parseFrame } from "../src/player/frames";
import { LEAST_MARGIN_S } from "../src/player/line";
import { type Cadence, type Hello, PushClient } from "../src/player/push";
import { acrossGap, FASTEST, RateControl, SLOWEST } from "../src/player/rate";

function bytes(kind: number, epoch: number, step: number, version = 1): ArrayBuffer {
  const buffer = new ArrayBuffer(20);
  const view = new DataView(buffer);
  view.setUint8(0, version);
  view.setUint8(1, kind);
  view.setUint16(2, 7);
  view.setUint32(4, epoch);
  view.setBigUint64(8, BigInt(step));
  view.setUint32(16, 0xdecade);
  return buffer;
}

describe("frames", () => {
  it("are read by the design's header", () => {
    const frame = parseFrame(bytes(2, 3, 2 ** 40));
    expect(frame).toMatchObject({ kind: Kind.Media, discontinuity: 7, epoch: 3, step: 2 ** 40 });
    expect([...(frame?.bytes ?? [])]).toEqual([0, 0xde, 0xca, 0xde]);
  });

  it("of another kind, version or length are dropped", () => {
    expect(parseFrame(bytes(9, 1, 1))).toBeNull();
    expect(parseFrame(bytes(2, 1, 1, 2))).toBeNull();
    expect(parseFrame(new ArrayBuffer(15))).toBeNull();
  });
});

describe("RateControl", () => {
  const held = 0.24 + LEAST_MARGIN_S;
  const at = (distance: number, ahead = distance) => new RateControl(0.24).update(distance, ahead);

  it("plays at one where it should be", () => expect(at(held + 0.03)).toEqual({ rate: 1, skipS: null }));
  it("hurries when late, within bounds", () => {
    expect(at(held + 0.3).rate).toBeGreaterThan(1);
    expect(at(held + 2).rate).toBe(FASTEST);
  });
  it("slows when little is left, within bounds", () => {
    expect(at(held - 0.3).rate).toBeLessThan(1);
    expect(at(0).rate).toBeGreaterThanOrEqual(SLOWEST);
  });
  it("jumps when far behind, and only into what is there", () => {
    expect(at(held + 4).skipS).toBeCloseTo(4);
    expect(at(held + 4, 3).skipS).toBeNull();
  });
  it("slows to the utmost for larger blocks until it has what they need", () => {
    const control = new RateControl(0.24);
    control.blockS = 0.48;
    expect(control.update(held + 0.15, 1).rate).toBe(SLOWEST);
    expect(control.update(held + 0.24, 1).rate).toBe(1);
    expect(control.update(held + 0.15, 1).rate).toBeGreaterThan(0.98);
  });
  it("hurries after smaller blocks, and does not jump", () => {
    const control = new RateControl(3.84);
    control.blockS = 0.24;
    expect(control.update(3.84 + LEAST_MARGIN_S, 4)).toEqual({ rate: FASTEST, skipS: null });
    expect(control.update(held, held).rate).toBe(1);
    expect(control.update(held + 3.6, 4).skipS).toBeCloseTo(3.6);
  });
});

describe("gaps", () => {
  const ranges = [
    { start: 0, end: 10 },
    { start: 10.24, end: 20 },
  ];
  it("are jumped a little before the end of what is there", () => {
    expect(acrossGap(ranges, 9.7)).toBeNull();
    expect(acrossGap(ranges, 9.95)).toBeCloseTo(10.25);
    expect(acrossGap(ranges, 10.1)).toBeCloseTo(10.25);
    expect(acrossGap(ranges, 19.99)).toBeNull();
    expect(acrossGap([], 1)).toBeNull();
  });
});

describe("transports", () => {
  const chromium: Abilities = { mediaSource: true, opus: true, aac: true, nativeHls: true, apple: false };
  it("are push first, and native HLS first on Apple's", () => {
    expect(transports(chromium, null)).toEqual(["push", "hls", "native", "progressive"]);
    expect(transports({ ...chromium, apple: true }, null)[0]).toBe("native");
    expect(transports({ ...chromium, mediaSource: false, nativeHls: false }, null)).toEqual(["progressive"]);
    expect(transports(chromium, "hls")).toEqual(["hls"]);
    expect(transports(chromium, "carrier-pigeon")[0]).toBe("push");
  });
});

class FakeSocket {
  static all: FakeSocket[] = [];
  onmessage: ((event: { data: unknown }) => void) | null = null;
  onclose: ((event: { code: number; reason: string }) => void) | null = null;
  binaryType = "";
  constructor(readonly url: URL) {
    FakeSocket.all.push(this);
  }
  close(): void {
    this.url.hash = "closed";
  }
}

describe("PushClient", () => {
  const told = {
    hello: [] as Hello[],
    cadence: [] as Cadence[],
    state: [] as RoomView[],
    frames: [] as Frame[],
    closed: 0,
    refused: [] as string[],
    failing: [] as number[],
  };
  let client: PushClient;
  const last = () => FakeSocket.all.at(-1)!;
  const greet = (hello: Partial<Hello>) =>
    last().onmessage?.({
      data: JSON.stringify({ type: "hello", zero_ms: 5, step_s: 0.24, block_steps: 1, ...hello }),
    });

  beforeEach(() => {
    vi.useFakeTimers();
    vi.stubGlobal("WebSocket", FakeSocket);
    FakeSocket.all = [];
    Object.assign(told, { hello: [], cadence: [], state: [], frames: [], closed: 0, refused: [], failing: [] });
    client = new PushClient("/r/demo/push", "opus", {
      hello: (hello) => told.hello.push(hello),
      cadence: (cadence) => told.cadence.push(cadence),
      state: (room) => told.state.push(room),
      frame: (frame) => told.frames.push(frame),
      resumeAfter: (step) => step,
      closed: () => (told.closed += 1),
      refused: (why) => told.refused.push(why),
      failing: (times) => told.failing.push(times),
    });
    client.start();
  });

  afterEach(() => {
    client.stop();
    vi.useRealTimers();
    vi.unstubAllGlobals();
  });

  it("asks for its rendition and resumes after the step it has", async () => {
    expect(last().url.searchParams.get("rendition")).toBe("opus");
    expect(last().url.searchParams.has("after")).toBe(false);
    last().onmessage?.({ data: bytes(1, 1, 5) });
    last().onmessage?.({ data: bytes(2, 1, 5) });
    last().onclose?.({ code: 1006, reason: "" });
    await vi.advanceTimersByTimeAsync(1_000);
    expect(FakeSocket.all).toHaveLength(2);
    expect(last().url.searchParams.get("after")).toBe("5");
  });

  it("drops repeats and frames of a stale epoch", () => {
    for (const data of [
      bytes(1, 2, 5),
      bytes(2, 2, 5),
      bytes(2, 2, 5),
      bytes(2, 1, 6),
      bytes(1, 3, 8),
      bytes(2, 3, 8),
    ]) {
      last().onmessage?.({ data });
    }
    expect(told.frames.map(({ kind, epoch, step }) => [kind, epoch, step])).toEqual([
      [1, 2, 5],
      [2, 2, 5],
      [1, 3, 8],
      [2, 3, 8],
    ]);
  });

  it("waits as long as a leaving server says, and holds it against nobody", async () => {
    last().onclose?.({ code: 1001, reason: "retry=4" });
    await vi.advanceTimersByTimeAsync(3_900);
    expect(FakeSocket.all).toHaveLength(1);
    await vi.advanceTimersByTimeAsync(1_200);
    expect(FakeSocket.all).toHaveLength(2);
    expect(told.failing).toEqual([]);
  });

  it("has the page look at the room's state when the server says it is closed", () => {
    last().onclose?.({ code: 4425, reason: "" });
    expect(told.closed).toBe(1);
    expect(told.failing).toEqual([]);
  });

  it.each([
    [4429, "door retry=3", "door"],
    [4409, "elsewhere", "elsewhere"],
  ])("ends when it is refused by %i", async (code, reason, why) => {
    last().onclose?.({ code, reason });
    expect(told.refused).toEqual([why]);
    await vi.advanceTimersByTimeAsync(60_000);
    expect(FakeSocket.all).toHaveLength(1);
  });

  it("takes silence for a dead connection", async () => {
    await vi.advanceTimersByTimeAsync(9_000);
    expect(FakeSocket.all.length).toBeGreaterThan(1);
    expect(FakeSocket.all[0]?.url.hash).toBe("#closed");
  });

  it("returns spread over the time that the server named when its connection broke without a word", async () => {
    const random = vi.spyOn(Math, "random").mockReturnValue(0.5);
    greet({ retry_spread_s: 8 });
    last().onmessage?.({ data: bytes(2, 1, 5) });
    last().onclose?.({ code: 1006, reason: "" });
    await vi.advanceTimersByTimeAsync(3_900);
    expect(FakeSocket.all).toHaveLength(1);
    await vi.advanceTimersByTimeAsync(200);
    expect(FakeSocket.all).toHaveLength(2);
    expect(last().url.searchParams.get("after")).toBe("5");
    expect(told.failing).toEqual([0]);
    random.mockRestore();
  });

  it("returns at once when the line or the listener is back", () => {
    greet({ retry_spread_s: 60 });
    last().onmessage?.({ data: bytes(2, 1, 5) });
    window.dispatchEvent(new Event("online"));
    expect(FakeSocket.all).toHaveLength(1); // it is not silent
    last().onclose?.({ code: 1006, reason: "" });
    window.dispatchEvent(new Event("online"));
    expect(FakeSocket.all).toHaveLength(2);
    document.dispatchEvent(new Event("visibilitychange"));
    expect(FakeSocket.all).toHaveLength(2); // one is under way
  });

  it("tries another connection beside a silent one, and keeps whichever speaks", async () => {
    greet({});
    const first = last();
    first.onmessage?.({ data: bytes(2, 1, 5) });
    await vi.advanceTimersByTimeAsync(3_900);
    expect(FakeSocket.all).toHaveLength(2);
    expect(first.url.hash).toBe("");
    first.onmessage?.({ data: bytes(2, 1, 6) });
    expect(last().url.hash).toBe("#closed");
    await vi.advanceTimersByTimeAsync(3_900);
    expect(FakeSocket.all).toHaveLength(3);
    expect(last().url.searchParams.get("after")).toBe("6");
    greet({});
    expect(first.url.hash).toBe("#closed");
    expect(last().url.hash).toBe("");
  });

  it("waits longer for larger blocks before it takes silence for a dead connection", async () => {
    greet({ block_steps: 1 });
    last().onmessage?.({ data: JSON.stringify({ type: "cadence", block_steps: 16, from_step: 9, emergency: false }) });
    expect(told.cadence[0]?.block_steps).toBe(16);
    await vi.advanceTimersByTimeAsync(7_000);
    expect(FakeSocket.all).toHaveLength(1);
    await vi.advanceTimersByTimeAsync(500);
    expect(FakeSocket.all).toHaveLength(2);
  });

  it("passes on hello and state", () => {
    last().onmessage?.({ data: JSON.stringify({ type: "hello", zero_ms: 5 }) });
    last().onmessage?.({ data: JSON.stringify({ type: "state", room: "demo" }) });
    expect(told.hello[0]?.zero_ms).toBe(5);
    expect(told.state[0]?.room).toBe("demo");
  });
});
