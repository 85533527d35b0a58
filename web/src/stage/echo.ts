/**
 * How much of the loudspeaker a microphone gives back, from one recording of a known sound.
 *
 * The sound is made of syllables, as noise suppression would take anything steady for noise. What is compared are
 * envelopes, not waves: a room's many reflections, a codec and an echo canceller at work leave the envelope whole.
 */

/** One look at a recording: 10 ms. */
const LOOK_S = 0.01;
/** Before this an echo canceller that has just begun may still learn. */
const LEARNS_S = 0.8;
/** A likeness that a voice or a noise does not reach by chance. */
const ALIKE = 0.6;
const PROBE_DBFS = -20;
const FLOOR = 1e-12;

/** When each syllable begins and how long it is, in seconds, and its pitch in Hz. */
const SYLLABLES: readonly (readonly [number, number, number])[] = [
  [0.0, 0.16, 130],
  [0.24, 0.1, 165],
  [0.42, 0.22, 120],
  [0.8, 0.12, 185],
  [0.98, 0.1, 150],
  [1.22, 0.26, 125],
  [1.6, 0.12, 175],
  [1.84, 0.18, 140],
  [2.16, 0.14, 115],
];

export const PROBE_S = 2.4;

export interface EchoJudgement {
  /** The echo beside what was played, in dB; null where nothing of it is in the recording. */
  echoDb: number | null;
  noiseDbfs: number;
}

export function decibels(power: number): number {
  return 10 * Math.log10(power + FLOOR);
}

/** The sound to play: nine syllables of a hum with overtones, as loud as speech on the stage. */
export function probe(rateHz: number): Float32Array<ArrayBuffer> {
  const pcm = new Float32Array(Math.round(PROBE_S * rateHz));
  for (const [start, length, pitch] of SYLLABLES) {
    const first = Math.round(start * rateHz);
    const count = Math.round(length * rateHz);
    for (let at = 0; at < count; at += 1) {
      const swell = Math.sin((Math.PI * at) / count) ** 0.5;
      const phase = 2 * Math.PI * pitch * (at / rateHz) * (1 + 0.1 * (at / count));
      let sample = 0;
      for (let k = 1; k * pitch < 3_600; k += 1) sample += Math.sin(k * phase) / (1 + Math.abs(k * pitch - 600) / 300);
      pcm[first + at] = swell * sample;
    }
  }
  const loud = powers(pcm, rateHz).filter((power) => power > FLOOR);
  const gain = 10 ** (PROBE_DBFS / 20) / Math.sqrt(mean(loud));
  return pcm.map((sample) => Math.max(-0.9, Math.min(0.9, sample * gain)));
}

/** The mean power of each 10 ms. */
export function powers(pcm: Float32Array, rateHz: number): number[] {
  const size = Math.round(LOOK_S * rateHz);
  return Array.from({ length: Math.floor(pcm.length / size) }, (_, look) => {
    let sum = 0;
    for (let at = look * size; at < (look + 1) * size; at += 1) sum += pcm[at]! * pcm[at]!;
    return sum / size;
  });
}

/** Judges a recording that holds silence of at least `quietS` and then, at some time, the probe. */
export function judgeEcho(recorded: Float32Array, rateHz: number, quietS: number): EchoJudgement {
  const heard = powers(recorded, rateHz);
  // A recorder's first moments may be empty, whatever there is to hear.
  const before = heard.slice(10, Math.max(20, Math.round(quietS / LOOK_S) - 10));
  const noise = percentile(before, 0.5);
  const played = powers(probe(rateHz), rateHz);
  const lag = lagOf(played, heard);
  const from = Math.round(LEARNS_S / LOOK_S);
  const sent = played.slice(from);
  const back = heard.slice(lag + from, lag + played.length);
  if (lag < 0 || likeness(sent.map(Math.sqrt), back.map(Math.sqrt)) < ALIKE) {
    return { echoDb: null, noiseDbfs: decibels(noise) };
  }
  const loud = sent.flatMap((power, at) => (power > FLOOR ? [at] : []));
  const echo = mean(loud.map((at) => back[at]!)) - noise;
  const echoDb = echo > 0 ? decibels(echo) - decibels(mean(loud.map((at) => sent[at]!))) : null;
  return { echoDb, noiseDbfs: decibels(noise) };
}

export interface VoiceJudgement {
  /** How loud the voice is where it is there, in dBFS. */
  voiceDbfs: number;
  /** The share of samples at the very top of the scale. */
  clipped: number;
}

export function judgeVoice(recorded: Float32Array, rateHz: number): VoiceJudgement {
  const top = recorded.reduce((count, sample) => count + (Math.abs(sample) > 0.985 ? 1 : 0), 0);
  return {
    voiceDbfs: decibels(percentile(powers(recorded, rateHz), 0.85)),
    clipped: top / Math.max(1, recorded.length),
  };
}

/** After how many looks the probe is in what was heard; -1 where the recording is too short. */
function lagOf(played: number[], heard: number[]): number {
  const sent = played.map(Math.sqrt);
  const back = heard.map(Math.sqrt);
  let best = -1;
  let most = -2;
  for (let lag = 0; lag + sent.length <= back.length; lag += 1) {
    const alike = likeness(sent, back.slice(lag, lag + sent.length));
    if (alike > most) [best, most] = [lag, alike];
  }
  return best;
}

/** Pearson's correlation. */
function likeness(a: number[], b: number[]): number {
  const [meanA, meanB] = [mean(a), mean(b)];
  let [ab, aa, bb] = [0, 0, 0];
  for (let at = 0; at < a.length; at += 1) {
    const [da, db] = [a[at]! - meanA, b[at]! - meanB];
    ab += da * db;
    aa += da * da;
    bb += db * db;
  }
  return aa > 0 && bb > 0 ? ab / Math.sqrt(aa * bb) : 0;
}

function mean(values: number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / Math.max(1, values.length);
}

function percentile(values: number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? 0;
}
