import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { PlaceInLine } from "../src/listen/line";
import { heldTicket, withEntry } from "../src/player/ticket";

interface Said {
  ticket?: string;
  solution?: string;
}

const WAITS = {
  admitted: false,
  ticket: "t1",
  position: 12,
  wait_s: [60, 90],
  retry_after_s: 10,
  because: null,
  challenge: null,
  overflow: null,
  replay: null,
};
const IN = { admitted: true, ticket: "t2", take_up_s: 20, streams: null };

/** Answers each request with the next of these; the last one goes on. */
function serve(...answers: (object | Response | Error)[]): Said[] {
  const said: Said[] = [];
  vi.stubGlobal("fetch", (_url: string, init: RequestInit) => {
    said.push(JSON.parse(init.body as string) as Said);
    const answer = answers.length > 1 ? answers.shift() : answers[0];
    if (answer instanceof Error) return Promise.reject(answer);
    return Promise.resolve(answer instanceof Response ? answer.clone() : new Response(JSON.stringify(answer)));
  });
  return said;
}

let room = "";

function stand() {
  const admitted: string[] = [];
  const line = new PlaceInLine(room, {
    admitted: (ticket) => admitted.push(ticket),
    solve: (challenge) => Promise.resolve(`solved ${JSON.stringify(challenge)}`),
  });
  line.start();
  return { line, admitted };
}

const after = (seconds: number) => vi.advanceTimersByTimeAsync(seconds * 1_000);

describe("a place in line", () => {
  beforeEach(() => {
    vi.useFakeTimers();
    room = `room-${Math.random()}`;
  });
  afterEach(() => {
    vi.useRealTimers();
    vi.unstubAllGlobals();
  });

  it("asks when the server says so, with the ticket it was given, and goes in by itself", async () => {
    const said = serve(WAITS, { ...WAITS, position: 3, wait_s: [5, 9], retry_after_s: 4 }, IN);
    const { line, admitted } = stand();
    await after(60);
    expect(said).toEqual([]);
    line.enter();
    await after(0);
    expect(line.store.get()).toMatchObject({ status: "waiting", position: 12, waitS: [60, 90] });
    await after(9.9);
    expect(said).toHaveLength(1);
    await after(0.1);
    expect(line.store.get()).toMatchObject({ position: 3 });
    await after(4);
    expect(said).toEqual([{}, { ticket: "t1" }, { ticket: "t1" }]);
    expect(admitted).toEqual(["t2"]);
    expect(line.store.get().status).toBe("in");
    await after(600);
    expect(said).toHaveLength(3);
  });

  it("is kept through a reload, also by who was in", async () => {
    serve(WAITS);
    const before = stand();
    before.line.enter();
    await after(0);
    before.line.stop();
    const said = serve(IN);
    const again = stand();
    await after(0);
    expect(said).toEqual([{ ticket: "t1" }]);
    expect(again.admitted).toEqual(["t2"]);
    const once = stand();
    await after(60);
    expect(said).toHaveLength(1);
    once.line.enter();
    await after(0);
    expect(said[1]).toEqual({ ticket: "t2" });
  });

  it("stays through outages and rubbish, and says so", async () => {
    const rubbish = [
      new Error("away"),
      new Response("<html>", { status: 200 }),
      new Response("{}", { status: 502 }),
      new Response("null"),
      new Response('{"admitted": "yes", "ticket": 5}'),
    ];
    const { line } = stand();
    serve(WAITS);
    line.enter();
    await after(0);
    for (const answer of rubbish) {
      const said = serve(answer);
      await after(60);
      expect(said.length).toBeGreaterThan(0);
      expect(said.every(({ ticket }) => ticket === "t1")).toBe(true);
      expect(line.store.get()).toMatchObject({ status: "waiting", position: 12, away: true });
    }
    serve({ ...WAITS, position: 2 });
    await after(60);
    expect(line.store.get()).toMatchObject({ position: 2, away: false });
  });

  it("begins anew with a ticket that is refused", async () => {
    serve(WAITS);
    const { line } = stand();
    line.enter();
    await after(0);
    const said = serve(new Response("{}", { status: 400 }), { ...WAITS, ticket: "t9" });
    await after(40);
    expect(said[0]).toEqual({ ticket: "t1" });
    expect(said[1]).toEqual({});
    expect(heldTicket(room)).toBe("t9");
  });

  it("works out what it is asked to, once", async () => {
    const challenged = { ...WAITS, because: "challenge", challenge: { salt: "x" } };
    const said = serve(challenged, WAITS);
    const { line } = stand();
    line.enter();
    await after(0);
    expect(said).toEqual([{}, { ticket: "t1", solution: 'solved {"salt":"x"}' }]);
    expect(line.store.get().because).toBeNull();
    const wrong = serve(challenged);
    await after(10);
    expect(wrong).toHaveLength(2);
  });

  it("asks again when the door refuses, not in a circle", async () => {
    const said = serve(IN);
    const { line, admitted } = stand();
    line.enter();
    await after(0);
    for (let i = 0; i < 200; i += 1) {
      if (line.store.get().status === "in") line.refused("door");
      await after(0.1);
    }
    expect(said.length).toBeLessThan(12);
    line.heard();
    await after(60);
    const before = admitted.length;
    line.refused("door");
    await after(0);
    expect(admitted.length).toBe(before + 1);
  });

  it("does not ask while the ticket is in use elsewhere", async () => {
    const said = serve(IN);
    const { line } = stand();
    line.refused("elsewhere");
    await after(600);
    expect(line.store.get().status).toBe("elsewhere");
    expect(said).toEqual([]);
    expect(withEntry("/r/demo/push?rendition=opus", { ticket: "a b", here: true })).toMatch(
      /\/r\/demo\/push\?rendition=opus&ticket=a\+b&here=1$/,
    );
    const cached = "https://cdn.example/r/demo/live.m3u8";
    expect(withEntry(cached, { ticket: "a", here: false })).toBe(cached);
  });

  it("may be left", async () => {
    const said = serve(WAITS);
    const { line, admitted } = stand();
    line.enter();
    await after(0);
    line.leave();
    await after(600);
    expect(said).toHaveLength(1);
    expect(line.store.get().status).toBe("in");
    stand();
    await after(60);
    expect(said).toHaveLength(1);
    expect(admitted).toEqual([]);
  });
});
