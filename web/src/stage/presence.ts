/** Being on stage, and staying there: joins, comes back by itself, leaves. */
import { isOpen, type RoomState } from "../api/types";
import { Backoff } from "../lib/backoff";
import { Store } from "../lib/store";
import { Problem, type StaffApi } from "./api";
import type { Microphone } from "./microphone";
import { WhipSession } from "./whip";

export interface PresenceState {
  status: "away" | "waiting" | "joining" | "on-stage" | "reconnecting";
  trouble: "udp" | "busy" | "refused" | null;
  detail: string;
  /** How often it has come back by itself. */
  returns: number;
}

/** A closed network is not to be asked every second. */
const NO_PATH_WAIT_S = 5;

export class Presence {
  readonly store = new Store<PresenceState>({ status: "away", trouble: null, detail: "", returns: 0 });
  readonly output = document.createElement("audio");
  private wanted = false;
  private open = false;
  private epoch: number | null = null;
  private session: WhipSession | null = null;
  private wasUp = false;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private readonly backoff = new Backoff(250, 4_000);
  private readonly leaving = () => this.session?.close();

  constructor(
    private readonly api: StaffApi,
    private readonly room: string,
    private readonly microphone: Microphone,
  ) {
    document.body.append(this.output);
    window.addEventListener("pagehide", this.leaving);
    window.addEventListener("pageshow", (event) => event.persisted && this.reconnect());
  }

  /** Called inside the click. */
  join(): void {
    this.wanted = true;
    this.wasUp = false;
    this.backoff.reset();
    this.store.patch({ trouble: null });
    this.advance();
  }

  leave(): void {
    this.wanted = false;
    this.drop();
    this.store.patch({ status: "away", trouble: null });
  }

  /** The room opened or closed. */
  roomIs(state: RoomState): void {
    const open = isOpen(state);
    if (open === this.open) return;
    this.open = open;
    if (!open) this.drop();
    if (this.wanted) this.advance();
  }

  /** Another origin has taken the room: the old one's connection is worth nothing. */
  epochIs(epoch: number): void {
    const before = this.epoch;
    this.epoch = epoch;
    if (before !== null && epoch > before && this.session && this.wasUp) this.reconnect();
  }

  async trackIs(track: MediaStreamTrack): Promise<void> {
    await this.session?.replaceTrack(track);
  }

  private reconnect(): void {
    if (!this.wanted) return;
    this.drop();
    this.advance();
  }

  private advance(): void {
    clearTimeout(this.timer);
    if (!this.open) {
      this.store.patch({ status: "waiting" });
      return;
    }
    this.store.patch({ status: this.wasUp ? "reconnecting" : "joining" });
    void this.connect();
  }

  private async connect(): Promise<void> {
    const { track } = this.microphone;
    if (!track) {
      if (await this.microphone.open()) await this.connect();
      else this.leave();
      return;
    }
    this.drop();
    const session: WhipSession = new WhipSession(`/r/${this.room}/whip`, this.api.bearer, track, this.output, {
      connected: () => session === this.session && this.connected(),
      broken: (noPath) => session === this.session && this.again(noPath ? "udp" : null),
    });
    this.session = session;
    try {
      await session.start();
    } catch (error) {
      if (session === this.session) this.refused(error);
    }
  }

  private connected(): void {
    this.backoff.reset();
    const { returns } = this.store.get();
    this.store.patch({ status: "on-stage", trouble: null, returns: this.wasUp ? returns + 1 : returns });
    this.wasUp = true;
  }

  private refused(error: unknown): void {
    const detail = error instanceof Error ? error.message : String(error);
    const passing = !(error instanceof Problem) || error.passing || error.status === 409 || error.status === 404;
    if (passing) {
      this.again("busy");
      return;
    }
    this.leave();
    this.store.patch({ trouble: "refused", detail });
  }

  private again(trouble: PresenceState["trouble"]): void {
    this.drop();
    this.store.patch({ status: this.wasUp ? "reconnecting" : "joining", trouble });
    this.timer = setTimeout(() => this.advance(), this.backoff.next(trouble === "udp" ? NO_PATH_WAIT_S : null));
  }

  private drop(): void {
    clearTimeout(this.timer);
    const { session } = this;
    this.session = null;
    session?.close();
  }
}
