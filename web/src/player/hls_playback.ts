/** Low-latency HLS by hls.js, loaded only when it is needed. */
import type Hls from "hls.js";
import type { ErrorData, Events, FragChangedData } from "hls.js";
import { Backoff } from "../lib/backoff";
import { nudge } from "./nudge";
import { elementAheadS, type Figures, play, type Playback, type PlaybackListener, type Refusal } from "./playback";

const FAILURES = 4;

export async function loadHls(): Promise<typeof Hls> {
  return (await import("hls.js/light")).default;
}

/**
 * The settings that hold for live and replay alike: no worker, because the page's policy allows no blob scripts; no
 * track of date ranges (the holds), which hls.js makes from a data: address that the policy does not allow either.
 */
export const COMMON = { enableWorker: false, backBufferLength: 30, enableDateRangeMetadataCues: false } as const;

export class HlsPlayback implements Playback {
  private hls: Hls | null = null;
  private stopped = false;
  private epoch: number | null = null;
  private readonly backoff = new Backoff(500, 5_000);
  private readonly gone = new AbortController();

  constructor(
    private readonly audio: HTMLAudioElement,
    private readonly url: string,
    readonly codec: "opus" | "aac",
    private readonly serverNow: () => number,
    private readonly listener: PlaybackListener,
  ) {}

  start(): void {
    const { signal } = this.gone;
    this.audio.addEventListener("playing", () => this.runs(), { signal });
    this.audio.addEventListener("waiting", () => !this.audio.seeking && this.listener.stalled(), { signal });
    nudge(this.audio, signal);
    loadHls().then(
      (library) => this.loaded(library),
      () => this.listener.failed("hls: the player's file did not load"),
    );
  }

  stop(): void {
    this.stopped = true;
    this.gone.abort();
    this.hls?.destroy();
    this.hls = null;
    this.audio.removeAttribute("src");
    this.audio.load();
  }

  figures(): Figures {
    const date = this.hls?.playingDate?.getTime();
    return {
      latencyS: date === undefined ? null : (this.serverNow() - date) / 1000,
      bufferedS: elementAheadS(this.audio),
      epoch: this.epoch,
    };
  }

  private loaded(library: typeof Hls): void {
    if (this.stopped) return;
    if (!library.isSupported()) {
      this.listener.failed("hls: no MediaSource");
      return;
    }
    const hls = new library({ ...COMMON, lowLatencyMode: true, maxLiveSyncPlaybackRate: 1.08 });
    this.hls = hls;
    hls.on("hlsError" as Events.ERROR, (_event, data) => this.failed(data));
    hls.on("hlsFragChanged" as Events.FRAG_CHANGED, (_event, data) => this.changed(data));
    hls.loadSource(new URL(this.url, window.location.href).href);
    hls.attachMedia(this.audio);
    play(this.audio, this.listener);
  }

  private runs(): void {
    this.backoff.reset();
    this.listener.playing();
  }

  private changed(data: FragChangedData): void {
    // A segment that was loaded in parts has no address of its own.
    const found = /\/(\d+)\/init\.mp4/.exec(data.frag.initSegment?.url ?? "");
    if (found) this.epoch = Number(found[1]);
  }

  private failed(data: ErrorData): void {
    const { hls } = this;
    if (!data.fatal || !hls) return;
    const refused = refusalOf(data);
    if (refused) {
      this.listener.refused(refused);
      return;
    }
    const wait = this.backoff.next();
    if (this.backoff.failures > FAILURES) {
      this.listener.failed(`hls: ${data.details}`);
      return;
    }
    if (data.type === "mediaError") {
      hls.recoverMediaError();
      return;
    }
    if (data.response?.code === 404 || data.response?.code === 409) this.listener.closed();
    setTimeout(() => {
      if (!this.stopped) hls.loadSource(new URL(this.url, window.location.href).href);
    }, wait);
  }
}

/** Reads out of the answer to a playlist whether the door refused it (the problems `door` and `elsewhere`). */
function refusalOf(data: ErrorData): Refusal | null {
  const answer = data.networkDetails as { responseText?: string } | null;
  const found = /problem:(door|elsewhere)\b/.exec(answer?.responseText ?? "");
  return (found?.[1] as Refusal | undefined) ?? null;
}
