/** Push into a MediaSource: the lowest latency, wherever MediaSource exists. */
import type { RoomView } from "../api/types";
import { MediaBuffer, monotonicS } from "./buffer";
import { type Frame, Kind } from "./frames";
import { Line } from "./line";
import { type Figures, play, type Playback, type PlaybackListener } from "./playback";
import { type Cadence, type Hello, PushClient } from "./push";
import { MOST_BEHIND_S } from "./rate";

/** So many failures to connect in a row, and another transport is tried. */
const FAILURES = 3;

export class PushPlayback implements Playback {
  private readonly client: PushClient;
  private line = new Line();
  private buffer: MediaBuffer | null = null;
  private epoch: number | null = null;
  private zeroMs: number | null = null;
  private stepS = 0.24;
  private blockS = 0.24;

  constructor(
    private readonly audio: HTMLAudioElement,
    url: string,
    readonly codec: "opus" | "aac",
    private readonly mime: string,
    private readonly serverNow: () => number,
    private readonly listener: PlaybackListener,
  ) {
    this.client = new PushClient(url, codec, {
      hello: (hello) => this.hello(hello),
      cadence: (cadence) => this.cadence(cadence),
      state: (room: RoomView) => listener.state(room),
      frame: (frame) => this.frame(frame),
      resumeAfter: (step) => this.resumeAfter(step),
      closed: () => listener.closed(),
      refused: (why) => listener.refused(why),
      failing: (times) => times >= FAILURES && listener.doubted(`push: ${times} failures`),
    });
  }

  start(): void {
    this.fill();
    this.client.start();
  }

  private fill(): void {
    const { listener } = this;
    this.buffer?.dispose();
    this.line = new Line();
    this.buffer = new MediaBuffer(this.audio, this.mime, this.line, this.blockS, {
      stalled: (agoMs) => listener.stalled(agoMs),
      played: () => listener.playing(),
      failed: (reason) => listener.failed(`push: ${reason}`),
    });
    play(this.audio, listener);
  }

  stop(): void {
    this.client.stop();
    this.buffer?.dispose();
    this.buffer = null;
  }

  figures(): Figures {
    const playing = this.zeroMs !== null && this.audio.currentTime > 0;
    const latencyS = playing ? (this.serverNow() - this.zeroMs!) / 1000 - this.audio.currentTime : null;
    return {
      latencyS,
      bufferedS: this.buffer?.aheadS ?? 0,
      epoch: this.epoch,
      targetS: this.buffer?.rate.targetS ?? null,
    };
  }

  private hello(hello: Hello): void {
    // Another zero is another room under the same address: its numbers and times begin anew.
    if (this.zeroMs !== null && hello.zero_ms !== this.zeroMs) this.fill();
    this.zeroMs = hello.zero_ms;
    this.stepS = hello.step_s;
    this.takeBlock(hello.block_steps);
    this.line.interrupted(this.blockS, monotonicS());
  }

  /** Announced or not: the buffer slows down until it has what the new blocks need, and speeds up when they shrink. */
  private cadence(cadence: Cadence): void {
    this.takeBlock(cadence.block_steps);
  }

  private takeBlock(steps: number): void {
    this.blockS = steps * this.stepS;
    if (this.buffer && this.buffer.rate.blockS !== this.blockS) this.buffer.rate.blockS = this.blockS;
  }

  private frame(frame: Frame): void {
    if (frame.kind === Kind.Media && this.epoch === null) return;
    // A new epoch begins late and in a burst for everybody.
    if (frame.epoch !== this.epoch) this.line.interrupted(this.blockS, monotonicS());
    this.epoch = frame.epoch;
    if (frame.kind === Kind.Media) this.line.note((frame.step + 1) * this.stepS, monotonicS());
    this.buffer?.append(frame.bytes);
  }

  /** What would only be jumped over is not asked for. */
  private resumeAfter(step: number): number {
    const live = this.line.liveS(monotonicS());
    const target = this.buffer?.rate.targetS;
    if (live === null || target === undefined || live - (step + 1) * this.stepS < target + MOST_BEHIND_S) return step;
    return Math.max(step, Math.floor((live - target) / this.stepS) - 1);
  }
}
