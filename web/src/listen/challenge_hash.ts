/**
 * The work of a challenge (ALTCHA, format 2, SHA-256 once): which number, behind salt and nonce, gives the hash that
 * begins as it was told. 36 bytes are one block of SHA-256 (FIPS 180-4), of which eight rounds are the same for all.
 */

export interface Challenge {
  parameters: {
    algorithm: string;
    cost: number;
    keyPrefix: string;
    nonce: string;
    salt: string;
    data?: { tries?: number };
  };
}

export interface Solution {
  counter: number;
  derivedKey: string;
}

const MOST_TRIES = 4_000_000;
const K = new Uint32Array([
  0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5, 0xd807aa98,
  0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174, 0xe49b69c1, 0xefbe4786,
  0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da, 0x983e5152, 0xa831c66d, 0xb00327c8,
  0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967, 0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13,
  0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85, 0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819,
  0xd6990624, 0xf40e3585, 0x106aa070, 0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a,
  0x5b9cca4f, 0x682e6ff3, 0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7,
  0xc67178f2,
]);
const H = [0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19];
const FIXED_ROUNDS = 8;
const BITS = 36 * 8;

/** Returns the solution; throws where this is no challenge that can be solved here. */
export function work({ parameters }: Challenge): Solution {
  const { algorithm, cost, salt, nonce, keyPrefix } = parameters;
  const usable = algorithm === "SHA-256" && cost === 1 && salt.length === 32 && nonce.length === 32;
  if (!usable || keyPrefix.length < 8) throw new Error("This challenge is of a kind that this page does not know.");
  const most = Math.min(MOST_TRIES, parameters.data?.tries ?? MOST_TRIES);
  const hash = hasher(words(salt), words(nonce));
  const [wanted] = words(keyPrefix);
  // The number is in the upper half of those that are to be tried, so it is looked for there first.
  for (const [from, to] of [
    [most >>> 1, most],
    [0, most >>> 1],
  ] as const) {
    for (let counter = from; counter < to; counter++) {
      const found = hash(counter);
      if (found[0] === wanted && hex(found).startsWith(keyPrefix)) return { counter, derivedKey: hex(found) };
    }
  }
  throw new Error("This challenge has no solution.");
}

/** Returns what hashes salt, nonce and a number; its result is overwritten by the next. */
function hasher(salt: number[], nonce: number[]): (counter: number) => Uint32Array {
  const w = new Uint32Array(64);
  const out = new Uint32Array(8);
  const state = new Uint32Array(H);
  w.set([...salt, ...nonce]);
  rounds(w, state, 0, FIXED_ROUNDS);
  const begun = state.slice();
  return (counter) => {
    w[8] = counter;
    w[9] = 0x80000000;
    w.fill(0, 10, 15);
    w[15] = BITS;
    for (let t = 16; t < 64; t++) {
      const a = w[t - 15]!;
      const b = w[t - 2]!;
      const s0 = ((a >>> 7) | (a << 25)) ^ ((a >>> 18) | (a << 14)) ^ (a >>> 3);
      const s1 = ((b >>> 17) | (b << 15)) ^ ((b >>> 19) | (b << 13)) ^ (b >>> 10);
      w[t] = (w[t - 16]! + s0 + w[t - 7]! + s1) | 0;
    }
    state.set(begun);
    rounds(w, state, FIXED_ROUNDS, 64);
    for (let i = 0; i < 8; i++) out[i] = H[i]! + state[i]!;
    return out;
  };
}

function rounds(w: Uint32Array, state: Uint32Array, from: number, to: number): void {
  let a = state[0]!;
  let b = state[1]!;
  let c = state[2]!;
  let d = state[3]!;
  let e = state[4]!;
  let f = state[5]!;
  let g = state[6]!;
  let h = state[7]!;
  for (let t = from; t < to; t++) {
    const s1 = ((e >>> 6) | (e << 26)) ^ ((e >>> 11) | (e << 21)) ^ ((e >>> 25) | (e << 7));
    const t1 = (h + s1 + ((e & f) ^ (~e & g)) + K[t]! + w[t]!) | 0;
    const s0 = ((a >>> 2) | (a << 30)) ^ ((a >>> 13) | (a << 19)) ^ ((a >>> 22) | (a << 10));
    const t2 = (s0 + ((a & b) ^ (a & c) ^ (b & c))) | 0;
    h = g;
    g = f;
    f = e;
    e = (d + t1) | 0;
    d = c;
    c = b;
    b = a;
    a = (t1 + t2) | 0;
  }
  state[0] = a;
  state[1] = b;
  state[2] = c;
  state[3] = d;
  state[4] = e;
  state[5] = f;
  state[6] = g;
  state[7] = h;
}

function words(text: string): number[] {
  return (text.match(/.{8}/g) ?? []).map((part) => Number.parseInt(part, 16));
}

function hex(numbers: Uint32Array): string {
  return Array.from(numbers, (each) => each.toString(16).padStart(8, "0")).join("");
}
