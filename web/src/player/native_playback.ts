/** The browser's own player on an address: native HLS (Safari, iPhone) and progressive streams. */
import { Backoff } from "../lib/backoff";
import { elementAheadS, type Figures, play, type Playback, type PlaybackListener } from "./playback";

const FAILURES = 3;
/** Without sound for so long its connection is taken for dead: the element itself would wait for minutes. */
const SILENCE_MS = 10_000;

export class NativePlayback implements Playback {
  private timer: ReturnType<typeof setTimeout> | undefined;
  private readonly backoff = new Backoff(500, 5_000);
  private readonly gone = new AbortController();

  constructor(
    private readonly audio: HTMLAudioElement,
    private readonly url: string,
    readonly codec: string,
    private readonly serverNow: () => number,
    private readonly listener: PlaybackListener,
  ) {}

  start(): void {
    const { audio } = this;
    const { signal } = this.gone;
    audio.addEventListener("playing", () => this.runs(), { signal });
    audio.addEventListener("waiting", () => this.ranDry(), { signal });
    audio.addEventListener("error", () => this.again(), { signal });
    audio.addEventListener("ended", () => this.again(), { signal });
    this.load();
  }

  stop(): void {
    clearTimeout(this.timer);
    this.gone.abort();
    this.audio.removeAttribute("src");
    this.audio.load();
  }

  figures(): Figures {
    const date = startDate(this.audio);
    const latencyS = date === null ? null : (this.serverNow() - date) / 1000 - this.audio.currentTime;
    return { latencyS, bufferedS: elementAheadS(this.audio), epoch: null };
  }

  private load(): void {
    this.audio.src = this.url;
    play(this.audio, this.listener);
  }

  private ranDry(): void {
    if (this.audio.seeking) return;
    this.listener.stalled();
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.again(), SILENCE_MS);
  }

  private runs(): void {
    clearTimeout(this.timer);
    this.backoff.reset();
    this.listener.playing();
  }

  private again(): void {
    const wait = this.backoff.next();
    if (this.backoff.failures > FAILURES) {
      this.listener.failed(`${this.codec}: ${this.audio.error?.message ?? "the stream ended"}`);
      return;
    }
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.load(), wait);
  }
}

/** Safari tells the wall time of the stream's zero. */
function startDate(audio: HTMLAudioElement): number | null {
  const { getStartDate } = audio as HTMLAudioElement & { getStartDate?: () => Date };
  const ms = getStartDate?.call(audio).getTime();
  return ms === undefined || Number.isNaN(ms) ? null : ms;
}
