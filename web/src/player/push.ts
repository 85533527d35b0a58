/** The push over WebSocket: connects, resumes where it was, says why when it cannot. */
import type { RoomView } from "../api/types";
import { Backoff, retryOf } from "../lib/backoff";
import { type Frame, Kind, parseFrame } from "./frames";

export interface Hello {
  rendition: string;
  mime: string;
  step_s: number;
  zero_ms: number;
  block_steps: number;
}

export interface PushListener {
  hello(hello: Hello): void;
  state(room: RoomView): void;
  frame(frame: Frame): void;
  /** The server says that the room is closed: look at state.json. */
  closed(): void;
  /** Connecting has failed this many times in a row. */
  failing(times: number): void;
}

/** The program has ended, no such room, not open: the page looks at state.json and ends this client, or it goes on. */
const CLOSED = new Set([1000, 4404, 4409]);
const CLOSED_WAIT_S = 2;
const TOO_SLOW = 4408;
/** A takeover may be silent for 3 s, so only a longer silence means that the connection is dead. */
const SILENCE_MS = 8_000;

export class PushClient {
  private socket: WebSocket | null = null;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private watchdog: ReturnType<typeof setTimeout> | undefined;
  private readonly backoff = new Backoff(300, 5_000);
  private step: number | null = null;
  private epoch = 0;
  private zeroMs: number | null = null;
  private stopped = false;

  constructor(
    private readonly url: string,
    private readonly rendition: string,
    private readonly listener: PushListener,
  ) {}

  start(): void {
    this.open();
  }

  stop(): void {
    this.stopped = true;
    clearTimeout(this.timer);
    this.drop();
  }

  private open(): void {
    const url = new URL(this.url, window.location.href);
    url.protocol = url.protocol.replace("http", "ws");
    url.searchParams.set("rendition", this.rendition);
    if (this.step !== null) url.searchParams.set("after", String(this.step));
    const socket = new WebSocket(url);
    socket.binaryType = "arraybuffer";
    socket.onmessage = (event: MessageEvent<string | ArrayBuffer>) => this.take(event.data);
    socket.onclose = (event) => {
      if (this.socket === socket) this.ended(event.code, event.reason);
    };
    this.socket = socket;
    this.heard();
  }

  private take(data: string | ArrayBuffer): void {
    this.heard();
    if (typeof data === "string") {
      const message = JSON.parse(data) as ({ type: "hello" } & Hello) | ({ type: "state" } & RoomView);
      if (message.type === "hello") this.greeted(message);
      else if (message.type === "state") this.listener.state(message);
      return;
    }
    const frame = parseFrame(data);
    if (!frame || frame.epoch < this.epoch) return;
    this.backoff.reset();
    this.epoch = frame.epoch;
    if (frame.kind === Kind.Media) {
      if (this.step !== null && frame.step <= this.step) return;
      this.step = frame.step;
    }
    this.listener.frame(frame);
  }

  private greeted(hello: Hello): void {
    if (this.zeroMs !== null && hello.zero_ms !== this.zeroMs) {
      this.step = null;
      this.epoch = 0;
    }
    this.zeroMs = hello.zero_ms;
    this.listener.hello(hello);
  }

  private heard(): void {
    clearTimeout(this.watchdog);
    this.watchdog = setTimeout(() => this.ended(0, ""), SILENCE_MS);
  }

  private ended(code: number, reason: string): void {
    this.drop();
    if (this.stopped) return;
    if (CLOSED.has(code)) {
      this.listener.closed();
      this.timer = setTimeout(() => this.open(), this.backoff.next(CLOSED_WAIT_S));
      return;
    }
    if (code === TOO_SLOW) this.step = null;
    const wait = this.backoff.next(retryOf(reason));
    this.timer = setTimeout(() => this.open(), wait);
    if (retryOf(reason) === null) this.listener.failing(this.backoff.failures);
  }

  private drop(): void {
    clearTimeout(this.watchdog);
    const socket = this.socket;
    this.socket = null;
    socket?.close();
  }
}
