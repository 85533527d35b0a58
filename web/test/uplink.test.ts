import { describe, expect, it } from "vitest";
import { STEPS, Uplink } from "../src/stage/uplink";
import { answerAfter, answerFor, restartOf, withNack } from "../src/stage/whip_sdp";

/** Reports each second from `fromS` to `toS`; returns what was decided last. */
function over(uplink: Uplink, fromS: number, toS: number, lost: number, roundTripS: number | null) {
  let sending = STEPS[0];
  for (let s = fromS; s < toS; s += 1) sending = uplink.observe({ nowMs: s * 1_000, lost, roundTripS });
  return sending;
}

describe("Uplink", () => {
  it("sends at full rate over a clean line, however long it is", () => {
    expect(over(new Uplink(), 0, 60, 0, 0.4)).toEqual(STEPS[0]);
    expect(over(new Uplink(), 0, 60, 0.01, null)).toEqual(STEPS[0]);
  });

  it("goes down at once to what a thin line bears when its queue grows", () => {
    const uplink = new Uplink();
    over(uplink, 0, 3, 0, 0.04);
    expect(over(uplink, 3, 5, 0, 0.6)).toEqual(STEPS[2]);
  });

  it("goes down by steps when a line without a queue drops much", () => {
    const uplink = new Uplink();
    over(uplink, 0, 5, 0, 0.04);
    expect(over(uplink, 5, 6, 0.3, 0.04)).toEqual(STEPS[1]);
    expect(over(uplink, 6, 10, 0.3, 0.04)).toEqual(STEPS[2]);
    expect(over(new Uplink(), 0, 1, 0.5, null)).toEqual(STEPS[2]);
  });

  it("tries more again after a while, and waits longer when that was too much", () => {
    const uplink = new Uplink();
    over(uplink, 0, 3, 0, 0.04);
    over(uplink, 3, 4, 0, 1);
    expect(over(uplink, 4, 19, 0, 0.05)).toEqual(STEPS[2]);
    expect(over(uplink, 19, 21, 0, 0.05)).toEqual(STEPS[1]);
    expect(over(uplink, 21, 25, 0.02, 0.3)).toEqual(STEPS[2]);
    expect(over(uplink, 25, 54, 0, 0.05)).toEqual(STEPS[2]);
    expect(over(uplink, 54, 57, 0, 0.05)).toEqual(STEPS[1]);
  });

  it("repeats each frame, at half the rate, while single packets get lost", () => {
    const uplink = new Uplink();
    expect(over(uplink, 0, 1, 0.1, 0.04)?.red).toBe(false);
    expect(over(uplink, 1, 5, 0.1, 0.04)).toEqual({ bitrate: 32_000, frameMs: 20, red: true });
    expect(over(uplink, 5, 20, 0, 0.04)?.red).toBe(true);
    expect(over(uplink, 20, 30, 0, 0.04)).toEqual(STEPS[0]);
  });
});

const OFFER = [
  "v=0",
  "a=group:BUNDLE 0",
  "m=audio 9 UDP/TLS/RTP/SAVPF 111 63",
  "a=ice-ufrag:abcd",
  "a=ice-pwd:0123456789012345678901",
  "a=ice-options:trickle",
  "a=fingerprint:sha-256 AA",
  "a=mid:0",
  "a=rtpmap:111 opus/48000/2",
  "a=fmtp:111 minptime=10;useinbandfec=1",
  "",
].join("\r\n");

describe("SDP", () => {
  it("lets the server ask for lost packets again, once", () => {
    const once = withNack(OFFER);
    expect(once).toContain("a=rtpmap:111 opus/48000/2\r\na=rtcp-fb:111 nack\r\na=fmtp:111");
    expect(withNack(once)).toBe(once);
    expect(withNack("v=0\r\n")).toBe("v=0\r\n");
  });

  it("asks for an ICE restart with the credentials and nothing else", () => {
    expect(restartOf(OFFER).split("\r\n")).toEqual([
      "a=ice-options:trickle",
      "a=group:BUNDLE 0",
      "m=audio 9 UDP/TLS/RTP/SAVPF 111 63",
      "a=mid:0",
      "a=ice-ufrag:abcd",
      "a=ice-pwd:0123456789012345678901",
      "",
    ]);
  });

  it("puts new credentials and candidates in place of the old", () => {
    const answer = "m=audio\r\na=mid:0\r\na=ice-ufrag:old\r\na=ice-pwd:old\r\na=setup:active\r\na=candidate:1 old\r\n";
    const fragment =
      "a=ice-options:trickle\r\nm=audio\r\na=mid:0\r\na=ice-ufrag:new\r\na=ice-pwd:new\r\na=candidate:2 new\r\n";
    expect(answerAfter(answer, fragment)).toBe(
      "m=audio\r\na=mid:0\r\na=setup:active\r\na=ice-ufrag:new\r\na=ice-pwd:new\r\na=candidate:2 new\r\n",
    );
  });

  it("asks for longer packets or for RED, and takes that back", () => {
    const answer = "m=audio 9 X 111 63\r\na=rtcp-mux\r\na=rtpmap:63 red/48000/2\r\n";
    const longer = answerFor(answer, 60, false);
    expect(longer).toBe(
      "m=audio 9 X 111 63\r\na=rtcp-mux\r\na=ptime:60\r\na=maxptime:60\r\na=rtpmap:63 red/48000/2\r\n",
    );
    const twice = answerFor(longer, 20, true);
    expect(twice).toContain("m=audio 9 X 63 111\r\n");
    expect(twice).toContain("a=ptime:20\r\n");
    expect(answerFor(twice, 20, false)).toContain("m=audio 9 X 111 63\r\n");
    expect(answerFor("m=audio 9 X 111\r\n", 20, true)).toBe("m=audio 9 X 111\r\n");
  });
});
