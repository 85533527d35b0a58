/** Who one is: a link's token becomes a session of this browser. */
import type { Session } from "../api/types";
import { Backoff } from "../lib/backoff";
import { kept, tabbed } from "../lib/storage";
import { Store } from "../lib/store";
import { openSession, Problem } from "./api";

export type SessionState =
  | { status: "opening" }
  | { status: "none" | "invalid" | "blocked" | "replaced" | "away" | "forbidden" }
  /** `code`: the digits by which this device is known; `mayTakeOver`: the device that holds the link is gone. */
  | { status: "in-use"; code: string; mayTakeOver: boolean }
  | { status: "open"; session: Session };

const ASK_AGAIN_MS = 4_000;

/** A secret of this browser: a link belongs to the first one that opens it. */
export function deviceSecret(): string {
  const known = kept.get("device");
  if (known) return known;
  const bytes = crypto.getRandomValues(new Uint8Array(32));
  const secret = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
  kept.set("device", secret);
  return secret;
}

/** Takes the token out of the address bar; it stays in this tab for reloads. */
export function takeToken(room: string | null): string | null {
  const key = `token.${room ?? "operator"}`;
  const found = /(?:^#|&)t=([^&]+)/.exec(window.location.hash);
  if (found) {
    tabbed.set(key, decodeURIComponent(found[1]!));
    history.replaceState(null, "", window.location.pathname + window.location.search);
  }
  return tabbed.get(key) ?? (room === null ? null : tabbed.get("token.operator"));
}

export class SessionKeeper {
  readonly store = new Store<SessionState>({ status: "opening" });
  private readonly backoff = new Backoff(1_000, 10_000);
  private timer: ReturnType<typeof setTimeout> | undefined;

  constructor(
    private readonly room: string | null,
    private readonly token: string | null,
  ) {}

  /** `takeOver`: from a device of one's own that is gone. */
  async open(takeOver = false): Promise<void> {
    clearTimeout(this.timer);
    if (!this.token) {
      this.store.set({ status: "none" });
      return;
    }
    try {
      const session = await openSession(this.token, deviceSecret(), takeOver);
      this.backoff.reset();
      const foreign = session.room !== null && session.room !== this.room;
      this.store.set(foreign ? { status: "forbidden" } : { status: "open", session });
    } catch (error) {
      this.refused(error);
    }
  }

  replaced(): void {
    this.store.set({ status: "replaced" });
  }

  private refused(error: unknown): void {
    if (error instanceof Problem && error.status === 409) {
      const { code, may_take_over: gone } = error.body;
      this.store.set({ status: "in-use", code: typeof code === "string" ? code : "", mayTakeOver: gone === true });
      this.timer = setTimeout(() => void this.open(), ASK_AGAIN_MS);
    } else if (error instanceof Problem && error.slug === "blocked") {
      this.store.set({ status: "blocked" });
    } else if (error instanceof Problem && !error.passing) {
      this.store.set({ status: "invalid" });
    } else {
      this.store.set({ status: "away" });
      this.timer = setTimeout(() => void this.open(), this.backoff.next());
    }
  }
}
