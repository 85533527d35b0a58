import { describe, expect, it } from "vitest";
import type { Role, SoundReport, Stage, StagePerson } from "../src/api/types";
import { decibels, judgeEcho, judgeVoice, powers, probe } from "../src/stage/echo";
import { soundWords } from "../src/stage/sound";
import { judge } from "../src/stage/stage_check";
import { manages, roleNews, rolesToGive } from "../src/stage/stage_rules";

const RATE = 16_000;
const QUIET_S = 0.8;

/** Noise that is the same each time. */
function noise(samples: number, dbfs: number, seed = 1): Float32Array {
  let state = seed;
  const gain = 10 ** (dbfs / 20) * Math.sqrt(3);
  return Float32Array.from({ length: samples }, () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return gain * (state / 2 ** 31 - 1);
  });
}

/** What a microphone hears in a room with walls: the probe after `lateS`, by `gainDb`, in noise. */
function room(gainDb: number, noiseDbfs: number, lateS = 0.13, until = Infinity): Float32Array {
  const recorded = noise(4.2 * RATE, noiseDbfs);
  const sound = probe(RATE);
  const taps = [0, 0.004, 0.011, 0.019, 0.034].map((s, at) => [Math.round(s * RATE), 0.55 ** at] as const);
  const gain = 10 ** (gainDb / 20) / Math.sqrt(taps.reduce((sum, [, tap]) => sum + tap * tap, 0));
  const first = Math.round((QUIET_S + lateS) * RATE);
  for (const [delay, tap] of taps) {
    for (let at = 0; at < Math.min(sound.length, until * RATE); at += 1) {
      const where = first + delay + at;
      if (where < recorded.length) recorded[where] = recorded[where]! + gain * tap * sound[at]!;
    }
  }
  return recorded;
}

describe("the probe", () => {
  it("is as loud as speech on stage, does not clip, and pauses between syllables", () => {
    const each = powers(probe(RATE), RATE);
    const loud = each.filter((power) => power > 1e-9);
    expect(decibels(loud.reduce((sum, power) => sum + power, 0) / loud.length)).toBeCloseTo(-20, 0);
    expect(Math.max(...probe(RATE).map(Math.abs))).toBeLessThan(0.9);
    expect(each.length - loud.length).toBeGreaterThan(50);
  });
});

describe("judgeEcho", () => {
  it.each([
    [-6, -60, 0.05],
    [-20, -60, 0.13],
    [-30, -70, 0.4],
    [-38, -75, 0.2],
  ])("finds an echo of %i dB in noise of %i dBFS, late by %d s", (gain, floor, late) => {
    const found = judgeEcho(room(gain, floor, late), RATE, QUIET_S);
    expect(Math.abs(found.echoDb! - gain)).toBeLessThan(2.5);
    expect(found.noiseDbfs).toBeCloseTo(floor, 0);
  });

  it("hears none in silence, in noise, nor where a canceller has learnt within its first moments", () => {
    expect(judgeEcho(new Float32Array(4.2 * RATE), RATE, QUIET_S).echoDb).toBeNull();
    expect(judgeEcho(room(-90, -35), RATE, QUIET_S).echoDb).toBeNull();
    expect(judgeEcho(room(-12, -70, 0.13, 0.6), RATE, QUIET_S).echoDb).toBeNull();
  });

  it("takes no speech of somebody else for the probe", () => {
    const talk = noise(4.2 * RATE, -20, 7).map((sample, at) => sample * Math.max(0, Math.sin((at / RATE) * 23.1)) ** 2);
    expect(judgeEcho(talk, RATE, QUIET_S).echoDb).toBeNull();
  });

  it("says nothing of a recording that is too short", () => {
    expect(judgeEcho(new Float32Array(RATE), RATE, QUIET_S).echoDb).toBeNull();
  });
});

describe("judge", () => {
  const voice = { voiceDbfs: -24, clipped: 0 };
  it.each([
    [null, "good"],
    [-55, "good"],
    [-30, "fair"],
    [-12, "poor"],
  ])("finds an echo of %s dB %s", (echoDb, light) => expect(judge({ echoDb, noiseDbfs: -70 }, voice).echo).toBe(light));

  it.each([
    [-70, "good"],
    [-50, "fair"],
    [-30, "poor"],
  ])("finds noise of %i dBFS %s", (noiseDbfs, light) =>
    expect(judge({ echoDb: null, noiseDbfs }, voice).noise).toBe(light),
  );

  it.each([
    [noise(RATE, -24), "good"],
    [noise(RATE, -45), "quiet"],
    [noise(RATE, -80), "silent"],
    [noise(RATE, 3).map((sample) => Math.max(-1, Math.min(1, sample))), "loud"],
  ])("judges a voice", (pcm, word) =>
    expect(judge({ echoDb: null, noiseDbfs: -70 }, judgeVoice(pcm, RATE)).voice).toBe(word),
  );
});

describe("soundWords", () => {
  const report: SoundReport = {
    light: "poor",
    cause: "uplink-loss",
    loss: 0.083,
    concealed: 0,
    recovered: 0,
    jitter_ms: 21.6,
    depth_ms: 40,
    loss_there: 0.21,
    round_trip_ms: null,
    echo_db: null,
  };

  it("counts what the sentence is about", () => {
    expect(soundWords(report)).toEqual({ light: "poor", cause: "uplink-loss", share: 8, ms: 40 });
    expect(soundWords({ ...report, cause: "downlink-loss" })!.share).toBe(21);
    expect(soundWords({ ...report, loss: 0.002 })!.share).toBe(1);
    expect(soundWords({ ...report, loss: 0.01, concealed: 0.06 })!.share).toBe(6);
  });

  it("says nothing where nothing is known, and no cause where all is well", () => {
    expect(soundWords(null)).toBeNull();
    expect(soundWords(undefined)).toBeNull();
    expect(soundWords({ ...report, light: "good" })!.cause).toBeNull();
  });
});

function stage(...people: [string, Role, boolean?][]): Stage {
  const seats = people.map(([name, role, connected = true]): StagePerson => ({
    person: name,
    name,
    role,
    connected,
    muted_by: null,
    speaking: false,
    heard: true,
    level_dbfs: -30,
  }));
  return { room: "r", epoch: 1, on_air: true, people: seats, level_dbfs: -20, silent_s: 0 };
}

describe("roles", () => {
  it("are given by hosts and operators alone", () => {
    expect(rolesToGive("host", "speaker")).toEqual(["cohost", "host"]);
    expect(rolesToGive("operator", "cohost")).toEqual(["speaker", "host"]);
    expect(rolesToGive("cohost", "speaker")).toEqual([]);
    expect(rolesToGive("moderator", "speaker")).toEqual([]);
  });

  it("say whom one may remove", () => {
    expect(manages("cohost", "host")).toBe(false);
    expect(manages("cohost", "speaker")).toBe(true);
    expect(manages("moderator", "cohost")).toBe(false);
    expect(manages("host", "host")).toBe(true);
  });

  it("are told when they change, with the reason", () => {
    const change = { person: "Bea", name: "Bea", role: "host", why: "host-absent", by: null } as const;
    const away = stage(["Ana", "host", false], ["Bea", "host"]);
    expect(roleNews(change, away)).toEqual({ kind: "host-left", name: "Ana" });
    expect(roleNews(change, stage(["Bea", "host"]))).toEqual({ kind: "host" });
    expect(roleNews(change, null)).toEqual({ kind: "host" });
    expect(roleNews({ ...change, why: "handed-over", by: "Ana" }, away)).toEqual({ kind: "host-gave", name: "Ana" });
    expect(roleNews({ ...change, role: "cohost", why: "given", by: "Ana" }, away)).toEqual({ kind: "cohost" });
  });
});
