/** The push over WebSocket: connects, resumes where it was, says why when it cannot. */
import type { RoomView } from "../api/types";
import { Backoff, jitter, retryOf } from "../lib/backoff";
import { type Frame, Kind, parseFrame } from "./frames";
import type { Refusal } from "./playback";

export interface Hello {
  rendition: string;
  mime: string;
  step_s: number;
  zero_ms: number;
  block_steps: number;
  retry_spread_s?: number;
}

/** From step `from_step` on blocks are of `block_steps` steps; an emergency is one that was not announced ahead. */
export interface Cadence {
  block_steps: number;
  from_step: number;
  emergency: boolean;
}

export interface PushListener {
  hello(hello: Hello): void;
  cadence(cadence: Cadence): void;
  state(room: RoomView): void;
  frame(frame: Frame): void;
  /** The step to resume after, if the last that came was `step`. */
  resumeAfter(step: number): number;
  /** The server says that the room is closed: look at state.json. */
  closed(): void;
  /** The door does not let this ticket in; this client ends. */
  refused(why: Refusal): void;
  /** Connecting has failed this many times in a row. */
  failing(times: number): void;
}

type Message = ({ type: "hello" } & Hello) | ({ type: "state" } & RoomView) | ({ type: "cadence" } & Cadence);

/** The program has ended, no such room, not open: the page looks at state.json and ends this client, or it goes on. */
const CLOSED = new Set([1000, 4404, 4425]);
const CLOSED_WAIT_S = 2;
const DOOR = 4429;
/** A close reason that says that the ticket is in use by another page or device. */
const ELSEWHERE = /^elsewhere\b/;
/** A takeover may be silent for 3 s; after this and a block another connection is tried beside the silent one. */
const SILENCE_MS = 3_500;
/** So long a connection may take to say its first word. */
const ATTEMPT_MS = 4_000;
/** A silent connection is given up. */
const DEAD_MS = 15_000;
/** Silent for so long and a block, it is not waited for when the page comes to the front or the line comes back. */
const SUSPECT_MS = 1_000;

export class PushClient {
  /** The connection that delivers, and at most one that is tried beside it while it is silent. */
  private readonly sockets = new Set<WebSocket>();
  private delivers: WebSocket | null = null;
  private heardAt = 0;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private watchdog: ReturnType<typeof setTimeout> | undefined;
  private readonly backoff = new Backoff(300, 5_000);
  private readonly gone = new AbortController();
  private step: number | null = null;
  private epoch = 0;
  private zeroMs: number | null = null;
  private stepMs = 240;
  private blockMs = 240;
  private spreadMs = 0;
  /** The present connection has brought sound. */
  private fed = false;

  constructor(
    private readonly url: string,
    private readonly rendition: string,
    private readonly listener: PushListener,
  ) {}

  start(): void {
    const { signal } = this.gone;
    document.addEventListener("visibilitychange", () => document.visibilityState === "visible" && this.wake(), {
      signal,
    });
    window.addEventListener("online", () => this.wake(), { signal });
    this.open();
  }

  stop(): void {
    this.gone.abort();
    clearTimeout(this.timer);
    clearTimeout(this.watchdog);
    for (const socket of this.sockets) this.drop(socket);
  }

  /** Comes back at once instead of after a wait. */
  private wake(): void {
    if (this.sockets.size === 0) this.open();
    else if (this.sockets.size === 1 && performance.now() - this.heardAt > this.blockMs + SUSPECT_MS) this.open();
  }

  private open(): void {
    clearTimeout(this.timer);
    const url = new URL(this.url, window.location.href);
    url.protocol = url.protocol.replace("http", "ws");
    url.searchParams.set("rendition", this.rendition);
    if (this.step !== null) url.searchParams.set("after", String(this.listener.resumeAfter(this.step)));
    // Who has been let in here replaces nobody any more.
    if (this.zeroMs !== null) url.searchParams.delete("here");
    const socket = new WebSocket(url);
    socket.binaryType = "arraybuffer";
    socket.onmessage = (event: MessageEvent<string | ArrayBuffer>) => {
      this.heard(socket);
      this.take(event.data);
      if (this.sockets.has(socket)) this.watch(SILENCE_MS + this.blockMs + jitter(0, this.spreadMs));
    };
    socket.onclose = (event) => {
      if (this.sockets.delete(socket)) this.ended(event.code, event.reason);
    };
    this.sockets.add(socket);
    this.watch(ATTEMPT_MS);
  }

  private take(data: string | ArrayBuffer): void {
    if (typeof data === "string") {
      this.told(JSON.parse(data) as Message);
      return;
    }
    const frame = parseFrame(data);
    if (!frame || frame.epoch < this.epoch) return;
    this.backoff.reset();
    this.epoch = frame.epoch;
    if (frame.kind === Kind.Media) {
      this.fed = true;
      if (this.step !== null && frame.step <= this.step) return;
      this.step = frame.step;
    }
    this.listener.frame(frame);
  }

  private told(message: Message): void {
    if (message.type === "hello") this.greeted(message);
    else if (message.type === "state") this.listener.state(message);
    else if (message.type === "cadence") {
      this.blockMs = message.block_steps * this.stepMs;
      this.listener.cadence(message);
    }
  }

  private greeted(hello: Hello): void {
    if (this.zeroMs !== null && hello.zero_ms !== this.zeroMs) {
      this.step = null;
      this.epoch = 0;
    }
    this.zeroMs = hello.zero_ms;
    this.stepMs = hello.step_s * 1000;
    this.blockMs = hello.block_steps * this.stepMs;
    this.spreadMs = (hello.retry_spread_s ?? 0) * 1000;
    this.listener.hello(hello);
  }

  /** Whoever speaks is kept, the other dropped. */
  private heard(socket: WebSocket): void {
    if (socket !== this.delivers) {
      this.delivers = socket;
      this.fed = false;
    }
    this.heardAt = performance.now();
    for (const other of this.sockets) if (other !== socket) this.drop(other);
  }

  private watch(ms: number): void {
    clearTimeout(this.watchdog);
    this.watchdog = setTimeout(() => this.silent(), ms);
  }

  /** Tries another connection; the silent one may yet go on, as after a short outage of the line. */
  private silent(): void {
    const dead = performance.now() - this.heardAt > DEAD_MS;
    for (const socket of this.sockets) if (dead || socket !== this.delivers) this.drop(socket);
    const wait = this.backoff.next();
    this.listener.failing(this.backoff.failures);
    if (this.gone.signal.aborted) return;
    this.open();
    this.watch(Math.max(ATTEMPT_MS, wait));
  }

  private ended(code: number, reason: string): void {
    const refused: Refusal | null = ELSEWHERE.test(reason) ? "elsewhere" : code === DOOR ? "door" : null;
    if (refused) {
      this.stop();
      this.listener.refused(refused);
      return;
    }
    const closed = CLOSED.has(code);
    if (this.sockets.size > 0 && !closed) return;
    clearTimeout(this.watchdog);
    clearTimeout(this.timer);
    for (const socket of this.sockets) this.drop(socket);
    if (closed) this.listener.closed();
    const retryS = closed ? CLOSED_WAIT_S : retryOf(reason);
    // A connection that broke without a word broke for many: all come back spread over the time the server named.
    const spread = retryS === null && this.fed && this.spreadMs > 0;
    const wait = spread ? jitter(0, this.spreadMs) : this.backoff.next(retryS);
    this.fed = false;
    if (this.gone.signal.aborted) return;
    this.timer = setTimeout(() => this.open(), wait);
    if (retryS === null) this.listener.failing(this.backoff.failures);
  }

  private drop(socket: WebSocket): void {
    this.sockets.delete(socket);
    socket.close();
  }
}
