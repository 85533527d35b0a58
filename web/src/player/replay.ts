/** Plays the recording: seek, rate, holds. */
import type Hls from "hls.js";
import type { Replay } from "../api/types";
import { Store } from "../lib/store";
import { COMMON, loadHls } from "./hls_playback";

export interface ReplayState {
  status: "idle" | "loading" | "playing" | "paused" | "failed";
  position: number;
  duration: number;
  rate: number;
  skipHolds: boolean;
}

export class ReplayPlayer {
  readonly store: Store<ReplayState>;
  private hls: Hls | null = null;
  private loaded = false;

  constructor(
    readonly audio: HTMLAudioElement,
    private replay: Replay,
  ) {
    this.store = new Store<ReplayState>({
      status: "idle",
      position: 0,
      duration: replay.duration_s,
      rate: 1,
      skipHolds: true,
    });
    audio.addEventListener("timeupdate", () => this.moved());
    audio.addEventListener("playing", () => this.store.patch({ status: "playing" }));
    audio.addEventListener("waiting", () => this.store.patch({ status: "loading" }));
    audio.addEventListener("pause", () => this.store.patch({ status: "paused" }));
    audio.addEventListener("error", () => this.fallBack());
  }

  update(replay: Replay): void {
    this.replay = replay;
    this.store.patch({ duration: replay.duration_s });
  }

  toggle(): void {
    if (this.store.get().status === "playing") {
      this.audio.pause();
      return;
    }
    this.store.patch({ status: "loading" });
    if (this.loaded) this.begin();
    else this.load();
  }

  seek(position: number): void {
    const to = Math.min(Math.max(0, position), this.store.get().duration);
    this.store.patch({ position: to });
    if (this.loaded) this.audio.currentTime = to;
  }

  setRate(rate: number): void {
    this.audio.defaultPlaybackRate = rate;
    this.audio.playbackRate = rate;
    this.store.patch({ rate });
  }

  setSkipHolds(skipHolds: boolean): void {
    this.store.patch({ skipHolds });
  }

  private load(): void {
    this.loaded = true;
    if (!("MediaSource" in window)) {
      this.audio.src = this.replay.hls;
      this.begin();
      return;
    }
    loadHls().then(
      (library) => {
        const hls = new library({ ...COMMON, startPosition: this.store.get().position });
        this.hls = hls;
        hls.on(library.Events.ERROR, (_event, data) => data.fatal && this.fallBack());
        hls.loadSource(new URL(this.replay.hls, window.location.href).href);
        hls.attachMedia(this.audio);
        this.begin();
      },
      () => this.fallBack(),
    );
  }

  private begin(): void {
    this.audio.play().catch(() => this.store.patch({ status: "paused" }));
  }

  /** A browser or a proxy that cannot do HLS plays the recording's file. */
  private fallBack(): void {
    const file = this.replay.recordings.m4a ?? this.replay.recordings.mp3;
    if (!this.loaded || !file || this.audio.src.endsWith(file)) {
      this.store.patch({ status: "failed" });
      return;
    }
    this.hls?.destroy();
    this.hls = null;
    this.audio.src = file;
    this.audio.currentTime = this.store.get().position;
    this.begin();
  }

  private moved(): void {
    const { skipHolds, duration } = this.store.get();
    const position = this.audio.currentTime;
    const hold = this.replay.holds.find((each) => position >= each.start_s && position < each.end_s - 0.3);
    if (skipHolds && hold && !this.audio.paused) {
      this.audio.currentTime = Math.min(hold.end_s, duration);
      return;
    }
    this.store.patch({ position });
  }
}
