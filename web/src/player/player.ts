/** The live player: one audio element through the room's life, over whichever transport works. */
import type { RoomView, Streams } from "../api/types";
import { Store } from "../lib/store";
import { kept } from "../lib/storage";
import { AAC, abilities, OPUS, transports } from "./choice";
import { HlsPlayback } from "./hls_playback";
import { NativePlayback } from "./native_playback";
import type { Playback, PlaybackListener, Transport } from "./playback";
import { PushPlayback } from "./push_playback";

export type Status = "idle" | "connecting" | "playing" | "stalled" | "blocked" | "failed";

export interface PlayerState {
  status: Status;
  transport: Transport | null;
  codec: string | null;
  stalls: number;
  /** How long before it was told the last interruption began. */
  stalledAgoMs: number;
  latencyS: number | null;
  bufferedS: number;
  epoch: number | null;
  targetS: number | null;
  rate: number;
  volume: number;
  muted: boolean;
  lastFailure: string | null;
}

export interface PlayerListener {
  state(room: RoomView): void;
  /** The stream says that the room is closed: ask for its state. */
  closed(): void;
  /** The server answers at all. */
  reachable(): Promise<boolean>;
}

/** No sound for so long after the start: try another way. */
const PATIENCE_MS = 8_000;
const FIGURES_MS = 500;
const ALL_FAILED_WAIT_MS = 5_000;
const AWAY_WAIT_MS = 2_000;

export class Player {
  readonly audio = document.createElement("audio");
  readonly store: Store<PlayerState>;
  private readonly order: Transport[];
  private readonly can = abilities();
  private index = 0;
  private playback: Playback | null = null;
  private streams: Streams | null = null;
  private patience: ReturnType<typeof setTimeout> | undefined;
  /** This transport has played since the listener pressed play. */
  private worked = false;
  /** It did not get through although the server answers. */
  private doubts = 0;

  constructor(
    via: string | null,
    private readonly serverNow: () => number,
    private readonly listener: PlayerListener,
  ) {
    this.order = transports(this.can, via);
    const volume = Number(kept.get("volume") ?? "1");
    this.store = new Store<PlayerState>({
      status: "idle",
      transport: null,
      codec: null,
      stalls: 0,
      stalledAgoMs: 0,
      latencyS: null,
      bufferedS: 0,
      epoch: null,
      targetS: null,
      rate: 1,
      volume: volume >= 0 && volume <= 1 ? volume : 1,
      muted: false,
      lastFailure: null,
    });
    this.audio.volume = this.store.get().volume;
    this.audio.preload = "none";
    document.body.append(this.audio);
    setInterval(() => this.measure(), FIGURES_MS);
  }

  get active(): boolean {
    return this.playback !== null || this.store.get().status === "connecting";
  }

  /** Sound and news come over the push. */
  get onPush(): boolean {
    const { status, transport } = this.store.get();
    return transport === "push" && (status === "playing" || status === "stalled");
  }

  /** Plays these streams; called inside the listener's click. */
  play(streams: Streams): void {
    this.streams = streams;
    this.index = 0;
    this.store.patch({ stalls: 0, lastFailure: null });
    this.attempt();
  }

  stop(): void {
    this.end();
    this.streams = null;
    this.store.patch({ status: "idle", transport: null, codec: null, latencyS: null, bufferedS: 0, epoch: null });
  }

  setVolume(volume: number): void {
    this.audio.volume = volume;
    this.audio.muted = false;
    kept.set("volume", String(volume));
    this.store.patch({ volume, muted: false });
  }

  setMuted(muted: boolean): void {
    this.audio.muted = muted;
    this.store.patch({ muted });
  }

  private end(): void {
    clearTimeout(this.patience);
    this.playback?.stop();
    this.playback = null;
  }

  private attempt(): void {
    this.end();
    this.worked = false;
    this.doubts = 0;
    const transport = this.order[this.index];
    if (!transport || !this.streams) return;
    const playback = this.make(transport, this.streams, this.hear(transport));
    this.playback = playback;
    this.store.patch({ status: "connecting", transport, codec: playback.codec });
    this.patience = setTimeout(() => this.impatient(transport), PATIENCE_MS);
    playback.start();
  }

  private make(transport: Transport, streams: Streams, listener: PlaybackListener): Playback {
    const { audio, can, serverNow } = this;
    const codec = can.opus ? "opus" : "aac";
    switch (transport) {
      case "push":
        return new PushPlayback(audio, streams.push, codec, can.opus ? OPUS : AAC, serverNow, listener);
      case "hls":
        return new HlsPlayback(audio, can.opus ? streams.hls_opus : streams.hls, codec, serverNow, listener);
      case "native":
        return new NativePlayback(audio, streams.hls, "aac", serverNow, listener);
      case "progressive": {
        const mp3 = audio.canPlayType("audio/mpeg") !== "";
        const url = mp3 ? streams.listen.mp3 : streams.listen.aac;
        return new NativePlayback(audio, url, mp3 ? "mp3" : "aac", serverNow, listener);
      }
    }
  }

  /** Only the attempt that is under way is listened to. */
  private hear(transport: Transport): PlaybackListener {
    const now = (act: () => void) => () => {
      if (this.store.get().transport === transport && this.playback) act();
    };
    return {
      playing: now(() => this.playing()),
      stalled: (agoMs = 0) => now(() => this.stalled(agoMs))(),
      blocked: now(() => this.blocked()),
      failed: (reason) => now(() => this.failed(reason))(),
      doubted: (reason) => now(() => void this.doubted(reason))(),
      closed: now(() => this.listener.closed()),
      state: (room) => this.listener.state(room),
    };
  }

  private playing(): void {
    clearTimeout(this.patience);
    this.worked = true;
    this.doubts = 0;
    this.store.patch({ status: "playing" });
  }

  private stalled(agoMs: number): void {
    const { status, stalls } = this.store.get();
    if (status === "playing") this.store.patch({ status: "stalled", stalls: stalls + 1, stalledAgoMs: agoMs });
  }

  private blocked(): void {
    this.end();
    this.store.patch({ status: "blocked" });
  }

  private impatient(transport: Transport): void {
    if (this.store.get().status === "connecting" && this.playback) this.failed(`${transport}: no sound`);
  }

  /**
   * While the server is away no other transport would do better. One that has worked is given another chance: its line
   * may have come back this moment.
   */
  private async doubted(reason: string): Promise<void> {
    const { playback } = this;
    if (!(await this.listener.reachable()) || !playback || playback !== this.playback) return;
    this.doubts += 1;
    if (this.doubts > (this.worked ? 1 : 0)) this.advance(reason);
  }

  private failed(reason: string): void {
    this.end();
    this.store.patch({ status: "connecting", lastFailure: reason });
    const { streams } = this;
    void this.listener.reachable().then((reachable) => {
      if (this.playback || streams !== this.streams || !streams) return;
      if (reachable) this.advance(reason);
      else this.patience = setTimeout(() => this.attempt(), AWAY_WAIT_MS);
    });
  }

  /** Tries the next transport; after the last it begins anew. */
  private advance(reason: string): void {
    this.end();
    this.index += 1;
    this.store.patch({ lastFailure: reason });
    if (this.index < this.order.length) {
      this.attempt();
      return;
    }
    this.index = 0;
    this.store.patch({ status: "failed", transport: null });
    this.patience = setTimeout(() => this.attempt(), ALL_FAILED_WAIT_MS);
  }

  private measure(): void {
    if (!this.playback) return;
    const { latencyS, bufferedS, epoch, targetS = null } = this.playback.figures();
    const stale = this.store.get().status === "stalled" && !this.audio.paused && this.audio.readyState >= 3;
    this.store.patch({
      latencyS,
      bufferedS,
      epoch,
      targetS,
      rate: this.audio.playbackRate,
      ...(stale ? { status: "playing" as const } : {}),
    });
  }
}
