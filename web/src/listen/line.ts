/**
 * One's place in the line at a room's door (docs/door.md): asks again when the server says so, keeps the place through
 * reloads and outages, and says when one is let in.
 */
import type { Replay, Streams } from "../api/types";
import { Backoff } from "../lib/backoff";
import { tabbed } from "../lib/storage";
import { Store } from "../lib/store";
import { PunctualTimer } from "../lib/timer";
import { heldTicket, keepTicket } from "../player/ticket";

export const REASONS = [
  "doors-closed",
  "rate-lowered",
  "cap-lowered",
  "slower-than-thought",
  "missed-turn",
  "counting",
  "challenge",
] as const;
export type Because = (typeof REASONS)[number];

export interface LineState {
  /** `in`: let in, or never in line. `elsewhere`: the ticket is in use by another page or device. */
  status: "in" | "asking" | "waiting" | "elsewhere";
  position: number | null;
  /** Seconds until one's turn, at best and at worst. */
  waitS: readonly [number, number] | null;
  because: Because | null;
  /** When it is asked again, on the clock of `performance.now()`. */
  nextMs: number | null;
  /** Where the sound is to be had at once, through caches and a little later. */
  overflow: string | null;
  replay: Replay | null;
  /** The server does not answer, or says nothing that can be understood; the place is kept meanwhile. */
  away: boolean;
  /** A page that was loaded again cannot begin to sound before it is touched. */
  untouched: boolean;
}

interface Waiting {
  /** Null for who has to solve a challenge first. */
  ticket: string | null;
  position: number | null;
  wait_s: [number, number] | null;
  retry_after_s: number;
  because: Because | null;
  challenge: object | null;
  overflow: string | null;
  replay: Replay | null;
}

interface Admitted {
  ticket: string;
  streams: Streams | null;
}

export interface LineListener {
  /** Works out what a server under attack asks of newcomers. */
  solve(challenge: object): Promise<string>;
  /** One's turn has come: begin to listen, with this ticket. */
  admitted(ticket: string, streams: Streams | null): void;
}

const OUT: LineState = {
  status: "in",
  position: null,
  waitS: null,
  because: null,
  nextMs: null,
  overflow: null,
  replay: null,
  away: false,
  untouched: false,
};
const TIMEOUT_MS = 8_000;
const LEAST_WAIT_S = 1;
const MOST_WAIT_S = 120;
/** Who is let in and refused again so soon would ask in a circle. */
const SOON_MS = 10_000;
/** What says that a ticket is no good: another is asked for. */
const NO_TICKET = new Set([400, 401, 403, 413]);

export class PlaceInLine {
  readonly store = new Store<LineState>(OUT);
  private readonly url: string;
  private readonly waits: string;
  private readonly timer = new PunctualTimer();
  private readonly backoff = new Backoff(2_000, 20_000);
  private readonly refusals = new Backoff(1_000, 20_000);
  private asking = false;
  private admittedAt = Number.NEGATIVE_INFINITY;

  constructor(
    private readonly room: string,
    private readonly listener: LineListener,
  ) {
    this.url = `/r/${encodeURIComponent(room)}/ticket`;
    this.waits = `line.${room}`;
  }

  get waiting(): boolean {
    const { status } = this.store.get();
    return status === "waiting" || status === "asking";
  }

  /** Stands where one stood before a reload, until `stop`. */
  start(): void {
    document.addEventListener("visibilitychange", this.look);
    window.addEventListener("online", this.look);
    if (tabbed.get(this.waits) === null || heldTicket(this.room) === null) return;
    this.store.set({ ...OUT, status: "waiting", untouched: !navigator.userActivation?.hasBeenActive });
    void this.ask();
  }

  stop(): void {
    this.timer.close();
    document.removeEventListener("visibilitychange", this.look);
    window.removeEventListener("online", this.look);
  }

  /** Asks to come in; with the ticket that this tab holds, if it does. */
  enter(): void {
    if (this.waiting) return;
    this.store.set({ ...OUT, status: "asking" });
    void this.ask();
  }

  /** Stands in line no more. The ticket is kept: who comes back soon has the same place. */
  leave(): void {
    this.timer.clear();
    tabbed.set(this.waits, null);
    this.store.set(OUT);
  }

  /** The page has been touched: it may begin to sound by itself. */
  touched(): void {
    this.store.patch({ untouched: false });
  }

  /** What one listened to has ended at the door: `door` means ask again, `elsewhere` that another page goes on. */
  refused(why: "door" | "elsewhere"): void {
    if (this.waiting) return;
    if (why === "elsewhere") {
      this.store.set({ ...OUT, status: "elsewhere" });
      return;
    }
    const soon = performance.now() - this.admittedAt < SOON_MS;
    this.store.set({ ...OUT, status: "asking" });
    if (soon) this.askIn(this.refusals.next());
    else void this.ask();
  }

  /** Whoever hears something has been let in for good. */
  heard(): void {
    this.refusals.reset();
    this.admittedAt = Number.NEGATIVE_INFINITY;
  }

  /** What was missed while the page slept or had no line is asked now. */
  private readonly look = (): void => {
    const { nextMs, away } = this.store.get();
    if (document.visibilityState !== "visible" || !this.waiting) return;
    if (away || (nextMs !== null && nextMs <= performance.now())) void this.ask();
  };

  private askIn(ms: number): void {
    this.store.patch({ nextMs: performance.now() + ms });
    this.timer.set(ms, () => void this.ask());
  }

  private async ask(): Promise<void> {
    if (this.asking) return;
    this.asking = true;
    this.timer.clear();
    const wait = await this.exchange(null);
    this.asking = false;
    if (this.waiting && wait !== null) this.askIn(wait);
  }

  /** Returns in how many milliseconds to ask again; null: no more. */
  private async exchange(solution: string | null): Promise<number | null> {
    const ticket = heldTicket(this.room);
    try {
      const response = await fetch(this.url, {
        method: "POST",
        body: JSON.stringify({ ...(ticket && { ticket }), ...(solution && { solution }) }),
        headers: { "Content-Type": "application/json" },
        signal: AbortSignal.timeout(TIMEOUT_MS),
        credentials: "omit",
        cache: "no-store",
      });
      if (ticket && NO_TICKET.has(response.status)) {
        keepTicket(this.room, null);
        return this.missed(null);
      }
      if (!response.ok) return this.missed(Number(response.headers.get("Retry-After")) || null);
      const answer = readAnswer(await response.json());
      if (!answer) return this.missed(null);
      this.backoff.reset();
      if (answer.ticket) keepTicket(this.room, answer.ticket);
      if (!("position" in answer)) return this.admitted(answer);
      return await this.told(answer, solution !== null);
    } catch {
      return this.missed(null);
    }
  }

  private admitted({ ticket, streams }: Admitted): null {
    if (!this.waiting) return null;
    tabbed.set(this.waits, null);
    this.admittedAt = performance.now();
    this.store.set(OUT);
    this.listener.admitted(ticket, streams);
    return null;
  }

  private async told(answer: Waiting, solved: boolean): Promise<number | null> {
    if (!this.waiting) return null;
    tabbed.set(this.waits, "1");
    const { position, because, overflow, replay } = answer;
    const { untouched } = this.store.get();
    const shown: LineState = { ...OUT, status: "waiting", position, waitS: answer.wait_s, because, overflow, replay };
    this.store.set({ ...shown, untouched });
    if (answer.challenge && !solved) {
      return await this.exchange(await this.listener.solve(answer.challenge));
    }
    return 1_000 * Math.min(MOST_WAIT_S, Math.max(LEAST_WAIT_S, answer.retry_after_s));
  }

  /** No answer: the place is kept, and asked for again. */
  private missed(retryS: number | null): number {
    if (this.waiting) this.store.patch({ status: "waiting", away: true });
    return Math.min(MOST_WAIT_S * 1_000, this.backoff.next(retryS));
  }
}

/** Returns what a server said if it can be understood, else null: whatever stands between us may say anything. */
function readAnswer(said: unknown): Waiting | Admitted | null {
  const answer = said as Partial<Waiting & { admitted: boolean; streams: Streams }> | null;
  if (typeof answer !== "object" || answer === null) return null;
  const ticket = typeof answer.ticket === "string" ? answer.ticket : null;
  const { wait_s: wait } = answer;
  if (answer.admitted === true) return ticket === null ? null : { ticket, streams: answer.streams ?? null };
  if (answer.admitted !== false) return null;
  const range = Array.isArray(wait) && wait.length === 2 && wait.every(Number.isFinite) ? wait : null;
  return {
    ticket,
    position: typeof answer.position === "number" ? answer.position : null,
    wait_s: range,
    retry_after_s: typeof answer.retry_after_s === "number" ? answer.retry_after_s : LEAST_WAIT_S,
    because: REASONS.find((reason) => reason === answer.because) ?? null,
    challenge: typeof answer.challenge === "object" ? answer.challenge : null,
    overflow: typeof answer.overflow === "string" ? answer.overflow : null,
    replay: answer.replay ?? null,
  };
}
