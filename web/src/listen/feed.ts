/** The room as the servers tell it: state.json by polling, or the push where it is connected. */
import type { RoomView } from "../api/types";
import { Backoff, jitter } from "../lib/backoff";
import { Store } from "../lib/store";

export interface FeedState {
  status: "loading" | "known" | "unknown" | "away";
  room: RoomView | null;
}

const POLL_MS = [2_000, 5_000] as const;
/** Polls are spread up to so many times what the server asks for. */
const SPREAD = 2.5;
/** The push tells every change; a poll now and then keeps the clock. */
const ENOUGH_ON_PUSH_MS = 30_000;
/** The talk is over and its replay is made in a moment. */
const POLL_FOR_REPLAY_MS = [700, 1_500] as const;
const REPLAY_DUE_MS = 60_000;
/** Whoever stands in line asks at the door anyway. */
const POLL_IN_LINE_MS = [12_000, 20_000] as const;
const POLL_UNKNOWN_MS = [8_000, 15_000] as const;
const TIMEOUT_MS = 8_000;
const REACH_MS = 3_000;
/** One lost poll is nothing to tell a listener about. */
const FAILURES_TO_TELL = 2;

export class RoomFeed {
  readonly store = new Store<FeedState>({ status: "loading", room: null });
  private timer: ReturnType<typeof setTimeout> | undefined;
  private readonly backoff = new Backoff(1_000, 10_000);
  private polledAt = Number.NEGATIVE_INFINITY;
  private offsetMs = 0;
  private asking = false;

  private readonly url: string;

  /** `onPush` tells whether the push is connected now, `inLine` whether one waits at the door. */
  constructor(
    id: string,
    private readonly onPush: () => boolean,
    private readonly inLine: () => boolean,
  ) {
    this.url = `/r/${encodeURIComponent(id)}/state.json`;
  }

  start(): void {
    document.addEventListener("visibilitychange", () => document.visibilityState === "visible" && this.ask());
    window.addEventListener("online", () => this.ask());
    void this.ask();
  }

  /** The server's clock, Unix ms. */
  readonly serverNow = (): number => Date.now() + this.offsetMs;

  /** Takes a state that came over the push. It waited there for a block: its time is a bound, and no more. */
  pushed(room: RoomView): void {
    const offsetMs = Date.parse(room.server_time) - Date.now();
    if (offsetMs > this.offsetMs) this.offsetMs = offsetMs;
    this.take(room);
  }

  /** Asks now instead of at the next poll. */
  readonly ask = async (): Promise<void> => {
    if (this.asking) return;
    this.asking = true;
    clearTimeout(this.timer);
    const wait = await this.poll();
    this.asking = false;
    this.timer = setTimeout(this.due, wait);
  };

  private readonly due = (): void => {
    if (this.onPush() && performance.now() - this.polledAt < ENOUGH_ON_PUSH_MS) {
      this.timer = setTimeout(this.due, jitter(...POLL_MS));
    } else {
      void this.ask();
    }
  };

  /** Asks whether the server answers at all. */
  readonly reachable = (): Promise<boolean> =>
    fetch(this.url, { signal: AbortSignal.timeout(REACH_MS), cache: "no-store" }).then(
      (response) => response.ok,
      () => false,
    );

  private async poll(): Promise<number> {
    const began = performance.now();
    try {
      const response = await fetch(this.url, {
        signal: AbortSignal.timeout(TIMEOUT_MS),
        cache: "no-cache",
      });
      if (response.status === 404) {
        this.backoff.reset();
        this.store.set({ status: "unknown", room: null });
        return jitter(...POLL_UNKNOWN_MS);
      }
      if (!response.ok) throw new Error(String(response.status));
      this.polledAt = performance.now();
      const room = (await response.json()) as RoomView;
      const server = Date.parse(room.server_time);
      if (!Number.isNaN(server)) this.offsetMs = server + (this.polledAt - began) / 2 - Date.now();
      this.take(room);
      return jitter(...this.pollMs);
    } catch {
      const wait = this.backoff.next();
      const { room } = this.store.get();
      if (!room || this.backoff.failures >= FAILURES_TO_TELL) this.store.set({ status: "away", room });
      return wait;
    }
  }

  private get pollMs(): readonly [number, number] {
    if (this.inLine()) return POLL_IN_LINE_MS;
    const { room } = this.store.get();
    const awaited = room?.recorded && !room.replay && room.ended_at;
    const since = awaited ? this.serverNow() - Date.parse(room.ended_at ?? "") : Number.POSITIVE_INFINITY;
    if (since < REPLAY_DUE_MS) return POLL_FOR_REPLAY_MS;
    const least = Math.max(POLL_MS[0], (room?.poll_s ?? 0) * 1_000);
    return [least, least * SPREAD];
  }

  private take(room: RoomView): void {
    this.backoff.reset();
    this.store.set({ status: "known", room });
  }
}
