/** What every way of getting the sound has in common. */
import type { RoomView } from "../api/types";

export type Transport = "push" | "hls" | "native" | "progressive";

/** `door`: the ticket is none that lets one in (any more). `elsewhere`: another page or device listens with it. */
export type Refusal = "door" | "elsewhere";

export interface Figures {
  latencyS: number | null;
  bufferedS: number;
  epoch: number | null;
  /** The distance to the live edge that is held, where it is ours to hold. */
  targetS?: number | null;
}

/** One attempt to play over one transport. `start` is called inside the listener's click. */
export interface Playback {
  readonly codec: string;
  start(): void;
  stop(): void;
  figures(): Figures;
}

export interface PlaybackListener {
  playing(): void;
  /** Playback ran dry, so long ago. */
  stalled(agoMs?: number): void;
  /** The browser wants a click first. */
  blocked(): void;
  /** This transport does not work here; the next one may. */
  failed(reason: string): void;
  /** It does not get through for now, and keeps trying; perhaps it never can. */
  doubted(reason: string): void;
  /** The server says the room is not open. */
  closed(): void;
  refused(why: Refusal): void;
  state(room: RoomView): void;
}

/** Starts the element and tells a refusal. */
export function play(audio: HTMLAudioElement, listener: PlaybackListener): void {
  audio.play().catch((error: unknown) => {
    if (error instanceof DOMException && error.name === "NotAllowedError") listener.blocked();
  });
}

/** Seconds between the playhead and the end of what the element holds. */
export function elementAheadS(audio: HTMLAudioElement): number {
  const { buffered } = audio;
  return buffered.length ? Math.max(0, buffered.end(buffered.length - 1) - audio.currentTime) : 0;
}
