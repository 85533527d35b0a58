/** Which transports this browser can use, best first. */
import type { Transport } from "./playback";

export const OPUS = 'audio/mp4; codecs="opus"';
export const AAC = 'audio/mp4; codecs="mp4a.40.2"';

export interface Abilities {
  mediaSource: boolean;
  opus: boolean;
  aac: boolean;
  nativeHls: boolean;
  apple: boolean;
}

export function abilities(): Abilities {
  const source = "MediaSource" in window ? window.MediaSource : null;
  return {
    mediaSource: source !== null,
    opus: source?.isTypeSupported(OPUS) ?? false,
    aac: source?.isTypeSupported(AAC) ?? false,
    nativeHls: document.createElement("audio").canPlayType("application/vnd.apple.mpegurl") !== "",
    apple: navigator.vendor.startsWith("Apple"),
  };
}

/** Safari and iPhones play HLS by themselves, also with the screen off; everybody else gets the push. */
export function transports(can: Abilities, via: string | null): Transport[] {
  const known: Transport[] = ["push", "hls", "native", "progressive"];
  const asked = known.find((transport) => transport === via);
  if (asked) return [asked];
  const source: Transport[] = can.mediaSource && (can.opus || can.aac) ? ["push", "hls"] : [];
  const native: Transport[] = can.nativeHls ? ["native"] : [];
  return can.apple ? [...native, ...source, "progressive"] : [...source, ...native, "progressive"];
}
