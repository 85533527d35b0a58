import { describe, expect, it } from "vitest";
import { work, type Challenge } from "../src/listen/challenge_hash";

/** Made by the library that edges use (altcha 2.3.0), with what it found itself. */
const made = {
  parameters: {
    algorithm: "SHA-256",
    cost: 1,
    keyLength: 32,
    keyPrefix: "10e4f78d05155a0b0bcf12d41fec7aad",
    nonce: "b4c983c12db1d2d8154d6bafc611e334",
    salt: "b2f94dfae0a9d5c9a8297022d2333ff0",
    data: { for: "x", tries: 80_000 },
  },
  signature: "7719bdb3dd88005900a4e7d212e59a1b4419d980d0d73036fa0d298b98bb8a33",
};

describe("the work of a challenge", () => {
  it("finds the number that the library finds", () => {
    expect(work(made)).toEqual({
      counter: 51_234,
      derivedKey: "10e4f78d05155a0b0bcf12d41fec7aad2dc78a51b91fca40e7e3f7869b1384d1",
    });
  });

  it("also looks where it should not be, and gives up where there is nothing", () => {
    const low: Challenge = { parameters: { ...made.parameters, data: { tries: 110_000 } } };
    expect(work(low).counter).toBe(51_234);
    const none: Challenge = { parameters: { ...made.parameters, data: { tries: 1_000 } } };
    expect(() => work(none)).toThrow("no solution");
  });

  it("does not begin what it does not know", () => {
    for (const other of [{ algorithm: "ARGON2ID" }, { cost: 5_000 }, { salt: "00" }, { keyPrefix: "0" }]) {
      expect(() => work({ parameters: { ...made.parameters, ...other } })).toThrow("does not know");
    }
  });
});
