/** Tells the edge how this listener fares (docs/design.md, "Beacons"): a random id for this page, and numbers. */
import { jitter } from "../lib/backoff";
import type { Transport } from "./playback";
import type { Player, Status } from "./player";
import { Tally } from "./tally";
import { heldTicket } from "./ticket";

const EVERY_MS = [27_000, 33_000] as const;
const LOOK_MS = 20;
const MOVED_S = 0.01;
/** What an edge takes at most; one number beyond would refuse the whole beacon. */
const MOST_MS = 600_000;
const MOST_STALLS = 1_000;
/** An answer that says that this edge takes no beacons. */
const NOT_HERE = new Set([404, 405]);

const REPORTED = { push: "push", hls: "hls", native: "hls", progressive: "progressive" } as const;

export class Beacon {
  private readonly url: string;
  private readonly ticketUrl: string;
  private readonly id = randomId();
  private readonly tally = new Tally();
  private pressedAt: number | null = null;
  private joinMs: number | null = null;
  private joined = false;
  private last: Status = "idle";
  private transport: Transport = "push";
  private timer: ReturnType<typeof setTimeout> | undefined;
  private look: ReturnType<typeof setInterval> | undefined;
  private unwanted = false;
  private ticket: string | null = null;

  /** Beacons go to the page's own origin, wherever the sound comes from. */
  constructor(
    private readonly room: string,
    private readonly player: Player,
  ) {
    this.url = `/r/${encodeURIComponent(room)}/beacon`;
    this.ticketUrl = `/r/${encodeURIComponent(room)}/ticket`;
    player.store.watch(() => this.changed());
    window.addEventListener("pagehide", () => this.leave());
  }

  private changed(): void {
    const { status, stalledAgoMs, transport } = this.player.store.get();
    this.transport = transport ?? this.transport;
    if (status === this.last) return;
    const now = performance.now();
    const waited = this.last === "idle" || this.last === "blocked";
    const over = status === "idle" || status === "blocked";
    this.last = status;
    this.tally.status(status, status === "stalled" ? now - stalledAgoMs : now);
    if (waited && !over) this.pressedAt = now;
    if (status === "playing" && this.pressedAt !== null) this.awaitSound(this.pressedAt);
    if (over) this.leave();
  }

  /** An element that says it plays is heard once its position moves. */
  private awaitSound(pressedAt: number): void {
    const { audio } = this.player;
    this.pressedAt = null;
    const from = audio.currentTime;
    clearInterval(this.look);
    this.look = setInterval(() => {
      if (audio.currentTime - from < MOVED_S) return;
      clearInterval(this.look);
      this.joined = true;
      this.joinMs = performance.now() - pressedAt;
      this.tell();
    }, LOOK_MS);
  }

  private tell(): void {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.tell(), jitter(...EVERY_MS));
    if (this.unwanted) return;
    void this.fetchTicket().then(() => {
      if (this.joined) this.send();
    });
  }

  private send(): void {
    fetch(this.url, { method: "POST", body: this.said(), keepalive: true, credentials: "omit" }).then(
      (response) => (this.unwanted ||= NOT_HERE.has(response.status)),
      () => undefined,
    );
  }

  /** A listener behind a cache is seen by its beacons alone, and edges count those that carry a ticket of theirs. */
  private async fetchTicket(): Promise<void> {
    this.ticket = heldTicket(this.room) ?? this.ticket;
    if (this.ticket !== null || REPORTED[this.transport] !== "hls") return;
    try {
      const response = await fetch(this.ticketUrl, { method: "POST", credentials: "omit" });
      if (response.ok) this.ticket = ((await response.json()) as { ticket?: string }).ticket ?? null;
    } catch {
      // Without one the numbers count all the same; the next beacon asks again.
    }
  }

  /** The page or the listener goes: what is left is said in a way that outlives the page. */
  private leave(): void {
    clearTimeout(this.timer);
    clearInterval(this.look);
    if (!this.joined || this.unwanted) return;
    navigator.sendBeacon(this.url, this.said({ bye: true }));
    this.joined = this.last !== "idle" && this.last !== "blocked";
  }

  private said(more: { bye?: true } = {}): string {
    const { latencyS } = this.player.store.get();
    const { joinMs } = this;
    const fared = this.tally.take(performance.now());
    this.joinMs = null;
    return JSON.stringify({
      player: this.id,
      ticket: this.ticket,
      transport: REPORTED[this.transport],
      join_ms: joinMs === null ? null : bounded(joinMs),
      stalls: Math.min(MOST_STALLS, fared.stalls),
      stall_ms: bounded(fared.stall_ms),
      played_ms: bounded(fared.played_ms),
      latency_ms: latencyS === null ? null : bounded(latencyS * 1000),
      ...more,
    });
  }
}

function bounded(ms: number): number {
  return Math.min(MOST_MS, Math.max(0, Math.round(ms)));
}

function randomId(): string {
  return Array.from(crypto.getRandomValues(new Uint8Array(8)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}
