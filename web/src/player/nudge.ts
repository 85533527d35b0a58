/**
 * Goes on after the sound ran dry. Each time that happens Chromium wants more in hand before it plays again, up to
 * seconds of it; a tiny seek makes it forget that.
 */
import { elementAheadS } from "./playback";

const ENOUGH_S = 0.7;
const LOOK_MS = 100;
const STEP_S = 0.01;

/** Watches an element until the signal aborts. */
export function nudge(audio: HTMLAudioElement, signal: AbortSignal): void {
  let dry = false;
  audio.addEventListener("waiting", () => (dry = !audio.seeking), { signal });
  audio.addEventListener("playing", () => (dry = false), { signal });
  const timer = setInterval(() => {
    if (!dry || audio.seeking || audio.paused || elementAheadS(audio) < ENOUGH_S) return;
    dry = false;
    audio.currentTime += STEP_S;
  }, LOOK_MS);
  signal.addEventListener("abort", () => clearInterval(timer), { once: true });
}
