/** Push into a MediaSource: the lowest latency, wherever MediaSource exists. */
import type { RoomView } from "../api/types";
import { MediaBuffer } from "./buffer";
import { type Frame, Kind } from "./frames";
import { type Figures, play, type Playback, type PlaybackListener } from "./playback";
import { type Hello, PushClient } from "./push";

const TARGET_S = 0.4;
/** So many failures to connect in a row, and another transport is tried. */
const FAILURES = 3;

export class PushPlayback implements Playback {
  private readonly client: PushClient;
  private buffer: MediaBuffer | null = null;
  private epoch: number | null = null;
  private zeroMs: number | null = null;
  private stepS = 0.24;

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
      state: (room: RoomView) => listener.state(room),
      frame: (frame) => this.frame(frame),
      closed: () => listener.closed(),
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
    this.buffer = new MediaBuffer(
      this.audio,
      this.mime,
      { targetS: TARGET_S, blockS: this.stepS },
      {
        stalled: () => listener.stalled(),
        played: () => listener.playing(),
        failed: (reason) => listener.failed(`push: ${reason}`),
      },
    );
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
    return { latencyS, bufferedS: this.buffer?.aheadS ?? 0, epoch: this.epoch };
  }

  private hello(hello: Hello): void {
    // Another zero is another room under the same address: its numbers and times begin anew.
    if (this.zeroMs !== null && hello.zero_ms !== this.zeroMs) this.fill();
    this.zeroMs = hello.zero_ms;
    this.stepS = hello.step_s * hello.block_steps;
  }

  private frame(frame: Frame): void {
    if (frame.kind === Kind.Media && this.epoch === null) return;
    this.epoch = frame.epoch;
    this.buffer?.append(frame.bytes);
  }
}
