/** The live player: one audio element through the room's life, over whichever transport works. */
import type { RoomView, Streams } from "../api/types";
import { Store } from "../lib/store";
import { kept } from "../lib/storage";
import { AAC, abilities, OPUS, transports } from "./choice";
import { HlsPlayback } from "./hls_playback";
import { NativePlayback } from "./native_playback";
import type { Playback, PlaybackListener, Refusal, Transport } from "./playback";
import { PushPlayback } from "./push_playback";
import { silence } from "./silence";
import { type Entry, withEntry } from "./ticket";

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
  /** The room's door lets this ticket, or nobody without one, in; or the ticket is in use elsewhere. */
  refused(why: Refusal): void;
}

/** No sound for so long after the start: try another way. */
const PATIENCE_MS = 8_000;
const FIGURES_MS = 500;
const ALL_FAILED_WAIT_MS = 5_000;
const AWAY_WAIT_MS = 2_000;
/** What caches can hold. */
const CACHED: readonly Transport[] = ["hls", "native"];

export class Player {
  readonly audio = document.createElement("audio");
  readonly store: Store<PlayerState>;
  private readonly order: readonly Transport[];
  private ways: readonly Transport[] = [];
  private entry: Entry | null = null;
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

  /** Plays these streams, with a ticket where there is a door; inside the listener's click, or after `hold` was. */
  play(streams: Streams, ticket: string | null = null): void {
    this.begin(streams, ticket === null ? null : { ticket, here: false }, this.order);
  }

  /** Plays here with the ticket of this room that another page or device uses, and ends that one. */
  playHere(streams: Streams, ticket: string): void {
    this.begin(streams, { ticket, here: true }, this.order);
  }

  /** Plays a playlist that caches hold: past the door, and a little later. */
  playThroughCaches(streams: Streams, playlist: string): void {
    const ways = this.order.filter((way) => CACHED.includes(way));
    this.begin({ ...streams, hls: playlist, hls_opus: playlist }, null, ways);
  }

  private begin(streams: Streams, entry: Entry | null, ways: readonly Transport[]): void {
    this.streams = streams;
    this.entry = entry;
    this.ways = ways;
    this.index = 0;
    this.store.patch({ stalls: 0, lastFailure: null });
    this.attempt();
  }

  /** Plays silence from the listener's click on, so that `play` may sound later without another one. */
  hold(): void {
    if (this.active) this.stop();
    this.audio.loop = true;
    this.audio.src = silence();
    this.audio.play().catch(() => undefined);
  }

  stop(): void {
    this.end();
    this.release();
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

  private release(): void {
    if (!this.audio.loop) return;
    this.audio.loop = false;
    this.audio.removeAttribute("src");
    this.audio.load();
  }

  private attempt(): void {
    this.end();
    this.audio.loop = false;
    this.worked = false;
    this.doubts = 0;
    const transport = this.ways[this.index];
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
    const at = (address: string) => withEntry(address, this.entry);
    switch (transport) {
      case "push":
        return new PushPlayback(audio, at(streams.push), codec, can.opus ? OPUS : AAC, serverNow, listener);
      case "hls":
        return new HlsPlayback(audio, at(can.opus ? streams.hls_opus : streams.hls), codec, serverNow, listener);
      case "native":
        return new NativePlayback(audio, at(streams.hls), "aac", serverNow, listener);
      case "progressive": {
        const mp3 = audio.canPlayType("audio/mpeg") !== "";
        const url = mp3 ? streams.listen.mp3 : streams.listen.aac;
        return new NativePlayback(audio, at(url), mp3 ? "mp3" : "aac", serverNow, listener);
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
      refused: (why) => now(() => this.refused(why))(),
      state: (room) => this.listener.state(room),
    };
  }

  private playing(): void {
    clearTimeout(this.patience);
    this.worked = true;
    this.doubts = 0;
    if (this.entry) this.entry.here = false;
    this.store.patch({ status: "playing" });
  }

  /** Silence goes on meanwhile, so that the listener need not press again. */
  private refused(why: Refusal): void {
    this.stop();
    if (why === "door") this.hold();
    this.listener.refused(why);
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
    if (this.index < this.ways.length) {
      this.attempt();
      return;
    }
    this.index = 0;
    if (this.entry) {
      // The browser's own player does not say what the server answered: the door does.
      this.refused("door");
      return;
    }
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
