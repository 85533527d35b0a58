/**
 * Being on stage, and staying there: joins, comes back by itself, leaves.
 *
 * A session that cannot be mended is replaced by a new one, and closed when that one is up: until then whatever still
 * comes through is heard. A tab that was on stage when it was reloaded joins again by itself.
 */
import { isOpen, type RoomState } from "../api/types";
import { Backoff } from "../lib/backoff";
import { tabbed } from "../lib/storage";
import { Store } from "../lib/store";
import { Problem, type StaffApi } from "./api";
import type { Microphone } from "./microphone";
import { WhipSession } from "./whip";

export interface PresenceState {
  status: "away" | "waiting" | "joining" | "on-stage" | "reconnecting";
  trouble: "udp" | "busy" | "full" | "refused" | null;
  detail: string;
  /** How often it has come back by itself. */
  returns: number;
}

/** A closed network is not to be asked every second. */
const NO_PATH_WAIT_S = 5;
/** How long credentials of a relay are used for new sessions; they hold for longer. */
const RELAYS_KEPT_MS = 3_600_000;

export class Presence {
  readonly store = new Store<PresenceState>({ status: "away", trouble: null, detail: "", returns: 0 });
  readonly output = document.createElement("audio");
  private wanted = false;
  private open = false;
  private epoch: number | null = null;
  private session: WhipSession | null = null;
  /** The one that `session` takes over from. */
  private before: WhipSession | null = null;
  private relays: RTCIceServer[] = [];
  private relaysAt = -Infinity;
  private wasUp = false;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private readonly backoff = new Backoff(250, 4_000);
  private readonly key: string;
  private readonly leaving = () => {
    this.before?.close();
    this.session?.close();
  };

  constructor(
    private readonly api: StaffApi,
    private readonly room: string,
    private readonly microphone: Microphone,
  ) {
    this.key = `on-stage.${room}`;
    this.wanted = tabbed.get(this.key) === api.session.person;
    if (this.wanted) this.store.patch({ status: "waiting" });
    document.body.append(this.output);
    window.addEventListener("pagehide", this.leaving);
    window.addEventListener("pageshow", (event) => event.persisted && this.reconnect());
    window.addEventListener("online", () => this.online());
    document.addEventListener("visibilitychange", () => !document.hidden && this.session?.doubt(false));
    const { connection } = navigator as { connection?: EventTarget };
    connection?.addEventListener("change", () => this.session?.doubt(false));
  }

  /** Called inside the click. */
  join(): void {
    this.wanted = true;
    tabbed.set(this.key, this.api.session.person);
    this.wasUp = false;
    this.backoff.reset();
    this.store.patch({ trouble: null });
    this.advance();
  }

  leave(): void {
    this.wanted = false;
    tabbed.set(this.key, null);
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
    await Promise.all([this.session?.replaceTrack(track), this.before?.replaceTrack(track)]);
  }

  /** There is a network again: mend what is there, or try at once instead of when the time has come. */
  private online(): void {
    if (this.session) this.session.doubt(true);
    else if (this.wanted && this.open) {
      this.backoff.reset();
      this.advance();
    }
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
    this.handOver();
    const relays = await this.relaysNow();
    if (!this.wanted || !this.open || this.session) return;
    const listener = {
      connected: () => session === this.session && this.connected(),
      interrupted: () => session === this.session && this.store.patch({ status: "reconnecting" }),
      broken: (noPath: boolean) => session === this.session && this.again(noPath ? "udp" : null),
    };
    const url = `/r/${this.room}/whip`;
    const session: WhipSession = new WhipSession(url, this.api.bearer, track, this.output, listener, relays);
    this.session = session;
    try {
      await session.start();
    } catch (error) {
      if (session === this.session) this.refused(error);
    }
  }

  /** Keeps the session that is to be replaced until the next one is up. */
  private handOver(): void {
    clearTimeout(this.timer);
    const { session } = this;
    this.session = null;
    if (!session) return;
    if (this.before) session.close();
    else this.before = session;
  }

  /** Relays for who cannot send UDP to the server; nobody who comes back waits for them. */
  private async relaysNow(): Promise<RTCIceServer[]> {
    if (performance.now() - this.relaysAt > RELAYS_KEPT_MS) {
      this.relaysAt = performance.now();
      const asked = this.api.relays(this.room).then(
        (relays) => (this.relays = relays),
        () => (this.relaysAt = -Infinity),
      );
      if (!this.wasUp) await asked;
    }
    return this.relays;
  }

  private connected(): void {
    this.before?.close(true);
    this.before = null;
    this.backoff.reset();
    const { returns } = this.store.get();
    this.store.patch({ status: "on-stage", trouble: null, returns: this.wasUp ? returns + 1 : returns });
    this.wasUp = true;
  }

  private refused(error: unknown): void {
    const detail = error instanceof Error ? error.message : String(error);
    const passing = !(error instanceof Problem) || error.passing || error.status === 409 || error.status === 404;
    if (passing) {
      this.again(error instanceof Problem && error.slug === "stage-full" ? "full" : "busy");
      return;
    }
    this.leave();
    this.store.patch({ trouble: "refused", detail });
  }

  private again(trouble: PresenceState["trouble"]): void {
    const first = this.backoff.failures === 0 && this.wasUp && trouble === null;
    this.store.patch({ status: this.wasUp ? "reconnecting" : "joining", trouble });
    const wait = this.backoff.next(trouble === "udp" ? NO_PATH_WAIT_S : null);
    this.handOver();
    if (first) this.advance();
    else this.timer = setTimeout(() => this.advance(), wait);
  }

  private drop(): void {
    clearTimeout(this.timer);
    const { session, before } = this;
    this.session = this.before = null;
    session?.close();
    before?.close();
  }
}
