/** One SourceBuffer that follows the live edge: appends, rate, gaps, trimming. */
import type { Line } from "./line";
import { acrossGap, type Range, RateControl } from "./rate";

const KEEP_S = 20;
const TRIM_AT_S = 40;
const TICK_MS = 50;
const STALL_MS = 120;
const MOST_WAITING_BYTES = 4_000_000;
const NUDGE_AFTER_MS = 150;
const NUDGE_AHEAD_S = 0.3;
const NUDGE_S = 0.01;

export interface BufferListener {
  /** Playback ran dry so long ago. */
  stalled(agoMs: number): void;
  played(): void;
  failed(reason: string): void;
}

/** The page's monotonic clock, in seconds. */
export function monotonicS(): number {
  return performance.now() / 1000;
}

export class MediaBuffer {
  readonly rate: RateControl;
  private readonly media = new MediaSource();
  private readonly queue: Uint8Array<ArrayBuffer>[] = [];
  private queued = 0;
  private buffer: SourceBuffer | null = null;
  private started = false;
  /** Nothing is appended until there is enough to go on with: one pause instead of several. */
  private held = false;
  private waitingSince: number | null = null;
  private stallTold = false;
  private enoughSince: number | null = null;
  private readonly url: string;
  private readonly ticker: ReturnType<typeof setInterval>;
  private readonly gone = new AbortController();

  constructor(
    private readonly audio: HTMLAudioElement,
    private readonly mime: string,
    private readonly line: Line,
    blockS: number,
    private readonly listener: BufferListener,
  ) {
    this.rate = new RateControl(blockS);
    const { signal } = this.gone;
    this.url = URL.createObjectURL(this.media);
    this.media.addEventListener("sourceopen", () => this.opened(), { once: true, signal });
    audio.addEventListener("waiting", () => this.ranDry(), { signal });
    audio.addEventListener("playing", () => this.runs(), { signal });
    audio.addEventListener("error", () => this.fail(audio.error?.message ?? "media error"), { signal });
    audio.preservesPitch = true;
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
    if (!bytes || this.held || !this.buffer || this.buffer.updating || this.media.readyState !== "open") return;
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
    this.tick();
    if (!this.trim(TRIM_AT_S)) this.next();
  }

  /** Begins once what came at the start is appended whole and reaches far enough back. */
  private begin(): void {
    const range = this.ranges().at(-1);
    const live = this.line.liveS(monotonicS());
    if (!range || live === null || this.queue.length > 0) return;
    const from = Math.min(Math.max(range.start, live - this.rate.targetS), range.end - NUDGE_S);
    if (live - from < this.rate.leastS) return;
    this.started = true;
    this.audio.currentTime = from;
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
    this.rate.marginS = this.line.marginS;
    if (!this.started) this.begin();
    if (!this.started || this.audio.seeking) return;
    const target = acrossGap(this.ranges(), this.audio.currentTime);
    if (target !== null) this.audio.currentTime = target;
    if (this.waitingSince !== null) {
      this.dry(performance.now(), this.waitingSince);
      return;
    }
    const move = this.rate.update(this.distanceS, this.aheadS);
    if (move.skipS !== null) this.audio.currentTime += move.skipS;
    if (this.audio.playbackRate !== move.rate) this.audio.playbackRate = move.rate;
  }

  private get distanceS(): number {
    return (this.line.liveS(monotonicS()) ?? 0) - this.audio.currentTime;
  }

  private ranDry(): void {
    if (!this.started || this.audio.seeking || this.waitingSince !== null) return;
    this.waitingSince = performance.now();
    this.held = this.distanceS < this.rate.leastS;
  }

  /** Waits for sound, tells the stall once, and goes on as soon as there is enough. */
  private dry(now: number, since: number): void {
    if (!this.stallTold && now - since >= STALL_MS) {
      this.stallTold = true;
      this.line.stalled();
      this.listener.stalled(now - since);
    }
    if (this.held && this.distanceS >= this.rate.leastS) {
      this.held = false;
      this.next();
    }
    this.nudge(now);
  }

  /**
   * Each time that it runs dry Chromium wants more in hand before it plays again, up to seconds of it; a tiny seek
   * makes it forget that.
   */
  private nudge(now: number): void {
    if (this.aheadS < NUDGE_AHEAD_S || this.audio.paused) {
      this.enoughSince = null;
      return;
    }
    this.enoughSince ??= now;
    if (now - this.enoughSince < NUDGE_AFTER_MS) return;
    this.enoughSince = null;
    this.audio.currentTime += NUDGE_S;
  }

  private runs(): void {
    this.waitingSince = null;
    this.stallTold = false;
    this.held = false;
    this.enoughSince = null;
    this.next();
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
