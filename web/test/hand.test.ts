import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { RaisedHand } from "../src/listen/hand";

interface Said {
  method: string;
  name: string;
  ask: boolean;
}

/** Answers each request with the next of these; a function lets the test hold it. */
function serve(...answers: (object | Promise<object>)[]): Said[] {
  const said: Said[] = [];
  vi.stubGlobal("fetch", async (_url: string, init: RequestInit) => {
    const { name, ask } = JSON.parse(init.body as string) as Said;
    said.push({ method: init.method ?? "", name, ask });
    const answer = await (answers.shift() ?? { state: "none" });
    return new Response(JSON.stringify({ position: null, retry_after_s: 3, url: null, ...answer }));
  });
  return said;
}

describe("a raised hand", () => {
  beforeEach(() => {
    vi.useFakeTimers();
    localStorage.clear();
  });
  afterEach(() => {
    vi.useRealTimers();
    vi.unstubAllGlobals();
  });

  it("asks nothing until it is raised, and then how it stands, until it is down", async () => {
    const said = serve({ state: "waiting", position: 2 }, { state: "waiting", position: 1 }, { state: "declined" });
    const hand = new RaisedHand("demo");
    hand.start();
    await vi.advanceTimersByTimeAsync(60_000);
    expect(said).toEqual([]);
    await hand.raise("Amal");
    expect(hand.store.get()).toMatchObject({ status: "waiting", position: 2 });
    await vi.advanceTimersByTimeAsync(60_000);
    expect(hand.store.get().status).toBe("declined");
    expect(said.map(({ method, ask }) => [method, ask])).toEqual([
      ["POST", false],
      ["POST", true],
      ["POST", true],
    ]);
  });

  it("is taken up again after a reload", async () => {
    serve({ state: "waiting", position: 1 });
    await new RaisedHand("demo").raise("Amal");
    const said = serve({ state: "waiting", position: 1 });
    const again = new RaisedHand("demo");
    again.start();
    await vi.advanceTimersByTimeAsync(0);
    expect(said).toEqual([{ method: "POST", name: "", ask: true }]);
    expect(again.store.get().status).toBe("waiting");
    expect(again.name).toBe("Amal");
    again.stop();
  });

  it("comes down although a question is under way", async () => {
    let answer: (answer: object) => void = () => undefined;
    const held = new Promise<object>((resolve) => (answer = resolve));
    const said = serve({ state: "waiting", position: 1 }, held, { state: "none" });
    const hand = new RaisedHand("demo");
    hand.start();
    await hand.raise("Amal");
    await vi.advanceTimersByTimeAsync(5_000);
    expect(said).toHaveLength(2);
    await hand.lower();
    answer({ state: "waiting", position: 1 });
    await vi.advanceTimersByTimeAsync(60_000);
    expect(said.map(({ method }) => method)).toEqual(["POST", "POST", "DELETE"]);
    expect(hand.store.get()).toMatchObject({ status: "down", busy: false });
  });

  it("stays up while the server is away", async () => {
    serve({ state: "waiting", position: 1 });
    const hand = new RaisedHand("demo");
    hand.start();
    await hand.raise("Amal");
    vi.stubGlobal("fetch", () => Promise.reject(new TypeError("away")));
    await vi.advanceTimersByTimeAsync(5_000);
    expect(hand.store.get()).toMatchObject({ status: "waiting", problem: "away" });
    const invited = { state: "invited", url: "https://staff.example/r/demo#t=x" };
    const said = serve(...Array<object>(40).fill(invited));
    await vi.advanceTimersByTimeAsync(40_000);
    expect(said.length).toBeGreaterThan(0);
    expect(hand.store.get()).toMatchObject({ url: invited.url, problem: null });
    hand.stop();
  });
});
