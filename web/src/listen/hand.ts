/** One's raised hand (docs/design.md, "Raised hands"): asks how it stands for as long as it is up, through reloads. */
import { Backoff, jitter } from "../lib/backoff";
import { kept } from "../lib/storage";
import { Store } from "../lib/store";

interface Answer {
  state: "none" | "waiting" | "invited" | "declined" | "full" | "closed";
  position: number | null;
  retry_after_s: number;
  url: string | null;
}

/** `gone`: it was up, and the line knows nothing of it any more. */
export type HandStatus = "down" | "gone" | Exclude<Answer["state"], "none">;

export interface HandState {
  status: HandStatus;
  /** The place in the line, from 1, while it waits. */
  position: number | null;
  /** Where who is invited goes. */
  url: string | null;
  busy: boolean;
  problem: "away" | "name" | "too-many" | null;
}

type Verb = "raise" | "ask" | "lower";

const DOWN: HandState = { status: "down", position: null, url: null, busy: false, problem: null };
const TIMEOUT_MS = 8_000;
/** The server takes a hand down whose page says nothing for three minutes. */
const MOST_WAIT_MS = 30_000;

/** A secret of this browser that its hands are known by. */
function browserKey(): string {
  const known = kept.get("hand.key");
  if (known && /^[0-9a-f]{32}$/.test(known)) return known;
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  const key = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
  kept.set("hand.key", key);
  return key;
}

export class RaisedHand {
  readonly store = new Store<HandState>(DOWN);
  private readonly backoff = new Backoff(1_000, MOST_WAIT_MS);
  private readonly url: string;
  private readonly up: string;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private asking = false;
  private pressed: (() => Promise<void>) | null = null;
  private stopped = true;

  constructor(room: string) {
    this.url = `/r/${encodeURIComponent(room)}/hand`;
    this.up = `hand.up.${room}`;
  }

  get name(): string {
    return kept.get("hand.name") ?? "";
  }

  /** Takes up a hand that was raised before a reload, until `stop`. */
  start(): void {
    this.stopped = false;
    document.addEventListener("visibilitychange", this.look);
    window.addEventListener("online", this.look);
    this.look();
  }

  stop(): void {
    this.stopped = true;
    clearTimeout(this.timer);
    document.removeEventListener("visibilitychange", this.look);
    window.removeEventListener("online", this.look);
  }

  async raise(name: string): Promise<void> {
    kept.set("hand.name", name);
    await this.say("raise", name);
  }

  /** Takes the hand down; for who is invited: declines. */
  async lower(): Promise<void> {
    await this.say("lower");
  }

  private readonly look = (): void => {
    if (kept.get(this.up) && document.visibilityState === "visible") void this.say("ask");
  };

  private async say(verb: Verb, name = ""): Promise<void> {
    if (verb !== "ask") this.store.patch({ busy: true, problem: null });
    if (this.asking) {
      // What a person does waits for a question that is under way; another question need not be asked.
      if (verb !== "ask") this.pressed = () => this.say(verb, name);
      return;
    }
    this.asking = true;
    clearTimeout(this.timer);
    const wait = await this.exchange(verb, name);
    this.asking = false;
    const { pressed } = this;
    this.pressed = null;
    if (pressed) await pressed();
    else if (kept.get(this.up) && !this.stopped) this.timer = setTimeout(() => void this.say("ask"), wait);
  }

  /** Returns how long to wait before the next question, in milliseconds. */
  private async exchange(verb: Verb, name: string): Promise<number> {
    try {
      const response = await fetch(this.url, {
        method: verb === "lower" ? "DELETE" : "POST",
        headers: { "Content-Type": "application/json" },
        body: JSON.stringify({ key: browserKey(), name, ask: verb === "ask" }),
        signal: AbortSignal.timeout(TIMEOUT_MS),
      });
      if (!response.ok) return this.refused(response.status);
      const answer = (await response.json()) as Answer;
      this.backoff.reset();
      this.take(verb, answer);
      return Math.min(MOST_WAIT_MS, answer.retry_after_s * 1_000) * jitter(0.85, 1.15);
    } catch {
      return this.refused(0);
    }
  }

  private take(verb: Verb, { state, position, url }: Answer): void {
    const isUp = state === "waiting" || state === "invited";
    // A phone in a pocket says so, too.
    if (state === "invited" && this.store.get().status === "waiting") navigator.vibrate?.([200, 100, 200]);
    kept.set(this.up, isUp ? "1" : null);
    const status = state !== "none" ? state : verb === "ask" ? "gone" : "down";
    this.store.set({ ...DOWN, status, position, url });
  }

  private refused(status: number): number {
    const problem = status === 400 ? "name" : status === 429 ? "too-many" : "away";
    this.store.patch({ busy: false, problem });
    return status === 429 ? MOST_WAIT_MS : this.backoff.next();
  }
}
