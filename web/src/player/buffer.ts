/** One SourceBuffer that follows the live edge: appends, rate, gaps, trimming. */
import { acrossGap, type Range, RateControl } from "./rate";

const KEEP_S = 20;
const TRIM_AT_S = 40;
const TICK_MS = 50;
const STALL_MS = 120;
const MOST_WAITING_BYTES = 4_000_000;

export interface BufferListener {
  stalled(): void;
  played(): void;
  failed(reason: string): void;
}

export class MediaBuffer {
  readonly rate: RateControl;
  private readonly media = new MediaSource();
  private readonly queue: Uint8Array<ArrayBuffer>[] = [];
  private queued = 0;
  private buffer: SourceBuffer | null = null;
  private started = false;
  private waitingSince: number | null = null;
  private stallTold = false;
  private lastTick = performance.now();
  private readonly url: string;
  private readonly ticker: ReturnType<typeof setInterval>;
  private readonly gone = new AbortController();

  constructor(
    private readonly audio: HTMLAudioElement,
    private readonly mime: string,
    step: { targetS: number; blockS: number },
    private readonly listener: BufferListener,
  ) {
    this.rate = new RateControl(step.targetS, step.blockS);
    const { signal } = this.gone;
    this.url = URL.createObjectURL(this.media);
    this.media.addEventListener("sourceopen", () => this.opened(), { once: true, signal });
    audio.addEventListener("waiting", () => this.ranDry(), { signal });
    audio.addEventListener("playing", () => this.runs(), { signal });
    audio.addEventListener("error", () => this.fail(audio.error?.message ?? "media error"), { signal });
    audio.src = this.url;
    this.ticker = setInterval(() => this.tick(), TICK_MS);
  }

  append(bytes: Uint8Array<ArrayBuffer>): void {
    this.queue.push(bytes);
    this.queued += bytes.byteLength;
    if (this.queued > MOST_WAITING_BYTES) {
      this.fail("the browser does not take the sound");
      return;
    }
    this.next();
  }

  /** Seconds ahead of the playhead, holes included. */
  get aheadS(): number {
    const end = this.ranges().at(-1)?.end;
    return end === undefined || !this.started ? 0 : Math.max(0, end - this.audio.currentTime);
  }

  dispose(): void {
    clearInterval(this.ticker);
    this.gone.abort();
    this.queue.length = 0;
    this.audio.playbackRate = 1;
    this.audio.removeAttribute("src");
    this.audio.load();
    URL.revokeObjectURL(this.url);
  }

  private opened(): void {
    try {
      this.media.duration = Number.POSITIVE_INFINITY;
      this.buffer = this.media.addSourceBuffer(this.mime);
    } catch (error) {
      this.fail(String(error));
      return;
    }
    this.buffer.addEventListener("updateend", () => this.updated(), { signal: this.gone.signal });
    this.next();
  }

  private next(): void {
    const bytes = this.queue[0];
    if (!bytes || !this.buffer || this.buffer.updating || this.media.readyState !== "open") return;
    try {
      this.buffer.appendBuffer(bytes);
      this.queue.shift();
      this.queued -= bytes.byteLength;
    } catch (error) {
      if (error instanceof DOMException && error.name === "QuotaExceededError" && this.trim(2)) return;
      this.fail(String(error));
    }
  }

  private updated(): void {
    // The burst at the start is appended whole first, so that playing begins near its end.
    if (!this.started && this.queue.length === 0) this.begin();
    this.tick();
    if (!this.trim(TRIM_AT_S)) this.next();
  }

  /** The first sound is there: play from a little behind its end. */
  private begin(): void {
    const range = this.ranges().at(-1);
    if (!range) return;
    this.started = true;
    this.audio.currentTime = Math.max(range.start, range.end - this.rate.startBehindS);
  }

  /** Removes what was heard long ago; true when the buffer is busy with it. */
  private trim(mostS: number): boolean {
    const first = this.ranges()[0];
    if (!first || !this.buffer || this.buffer.updating) return false;
    const now = this.audio.currentTime;
    if (now - first.start < mostS) return false;
    this.buffer.remove(0, now - Math.min(KEEP_S, mostS / 2));
    return true;
  }

  private tick(): void {
    const now = performance.now();
    const elapsedS = (now - this.lastTick) / 1000;
    this.lastTick = now;
    if (!this.started || this.audio.seeking) return;
    const target = acrossGap(this.ranges(), this.audio.currentTime);
    if (target !== null) this.audio.currentTime = target;
    if (this.waitingSince !== null) {
      this.stall(now);
      return;
    }
    const move = this.rate.update(this.aheadS, elapsedS);
    if (move.seekBehindS !== null) this.jump(move.seekBehindS);
    if (this.audio.playbackRate !== move.rate) this.audio.playbackRate = move.rate;
  }

  private jump(behindS: number): void {
    const last = this.ranges().at(-1);
    if (last) this.audio.currentTime = Math.max(last.start, last.end - behindS);
  }

  private ranDry(): void {
    if (this.started && !this.audio.seeking) this.waitingSince ??= performance.now();
  }

  private stall(now: number): void {
    if (this.waitingSince === null || this.stallTold || now - this.waitingSince < STALL_MS) return;
    this.stallTold = true;
    this.rate.stalled();
    this.listener.stalled();
  }

  private runs(): void {
    this.waitingSince = null;
    this.stallTold = false;
    this.listener.played();
  }

  private ranges(): Range[] {
    const ranges = this.buffer && this.media.readyState !== "closed" ? this.buffer.buffered : this.audio.buffered;
    return Array.from({ length: ranges.length }, (_, i) => ({ start: ranges.start(i), end: ranges.end(i) }));
  }

  private fail(reason: string): void {
    clearInterval(this.ticker);
    this.listener.failed(reason);
  }
}
