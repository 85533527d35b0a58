/** The room as the staff sees it: snapshots, then the event stream, for as long as the page is open. */
import type { Audience, Door, Hands, LadderWord, Link, RoleChange, Stage, StaffRoom } from "../api/types";
import { Backoff } from "../lib/backoff";
import { EventReader, type ServerEvent } from "../lib/sse";
import { Store } from "../lib/store";
import { ask, Problem, type StaffApi } from "./api";

export interface WatchState {
  connected: boolean;
  room: StaffRoom | null;
  stage: Stage | null;
  audience: Audience | null;
  hands: Hands | null;
  door: Door | null;
  ladder: LadderWord | null;
  links: Link[];
  /** One's own link: its role is one's role. */
  own: Link | null;
  /** The newest change of one's own role. */
  change: RoleChange | null;
}

export interface WatchListener {
  replaced(): void;
  /** The grant is no good any more. */
  refused(): void;
}

/** The server says something every 10 s at least. */
const SILENCE_MS = 25_000;

export class RoomWatch {
  readonly store = new Store<WatchState>({
    connected: false,
    room: null,
    stage: null,
    audience: null,
    hands: null,
    door: null,
    ladder: null,
    links: [],
    own: null,
    change: null,
  });
  private readonly backoff = new Backoff(500, 5_000);
  private stopped = false;
  private withLinks = false;
  private current = new AbortController();

  constructor(
    private readonly api: StaffApi,
    private readonly id: string,
    private readonly listener: WatchListener,
  ) {}

  async run(): Promise<void> {
    while (!this.stopped) {
      try {
        await this.snapshot();
        await this.follow();
      } catch (error) {
        if (error instanceof Problem && (error.status === 401 || error.status === 403)) {
          this.stop();
          this.listener.refused();
        }
      }
      if (this.stopped) return;
      this.store.patch({ connected: false });
      await new Promise((resolve) => setTimeout(resolve, this.backoff.next()));
    }
  }

  stop(): void {
    this.stopped = true;
    this.current.abort();
  }

  /** Whether one's role lets one see links: it may change while the page is open. */
  seesLinks(sees: boolean): void {
    if (sees === this.withLinks) return;
    this.withLinks = sees;
    this.refreshLinks().catch(() => {
      // The next snapshot brings them.
    });
  }

  async refreshLinks(): Promise<void> {
    if (this.withLinks) this.store.patch({ links: await this.api.links(this.id) });
  }

  /** Takes a room that an answer carried, ahead of the event. */
  takeRoom(room: StaffRoom): void {
    this.store.patch({ room: { ...this.store.get().room, ...room } });
  }

  private async snapshot(): Promise<void> {
    const room = await this.api.room(this.id);
    this.store.patch({ room });
    await this.refreshLinks();
  }

  private async follow(): Promise<void> {
    this.current = new AbortController();
    const { signal } = this.current;
    const response = await ask(`/api/v1/rooms/${this.id}/events`, { headers: this.api.bearer, signal });
    const body = response.body?.pipeThrough(new TextDecoderStream()).getReader();
    if (!body) return;
    this.store.patch({ connected: true });
    const reader = new EventReader();
    let silence = setTimeout(() => this.current.abort(), SILENCE_MS);
    try {
      for (;;) {
        const { done, value } = await body.read();
        if (done) return;
        clearTimeout(silence);
        silence = setTimeout(() => this.current.abort(), SILENCE_MS);
        this.backoff.reset();
        for (const event of reader.push(value)) this.take(event);
      }
    } finally {
      clearTimeout(silence);
    }
  }

  private take({ event, data }: ServerEvent): void {
    const value = JSON.parse(data) as unknown;
    switch (event) {
      case "room":
        this.takeRoom(value as StaffRoom);
        break;
      case "stage":
        this.store.patch({ stage: value as Stage });
        break;
      case "audience":
        this.store.patch({ audience: value as Audience });
        break;
      case "hands":
        this.store.patch({ hands: value as Hands });
        break;
      case "ladder":
        this.store.patch({ ladder: value as LadderWord });
        break;
      case "door":
        this.store.patch({ door: value as Door });
        break;
      case "link":
        this.takeLink(value as Link);
        break;
      case "role":
        this.takeRole(value as RoleChange);
        break;
      case "session":
        if ((value as { replaced?: boolean }).replaced) {
          this.stop();
          this.listener.replaced();
        }
        break;
    }
  }

  private takeRole(change: RoleChange): void {
    if (change.person === this.api.session.person) this.store.patch({ change });
  }

  private takeLink(link: Link): void {
    if (link.link === this.api.session.person) this.store.patch({ own: link });
    const { links } = this.store.get();
    const known = links.some((each) => each.link === link.link);
    this.store.patch({
      links: known ? links.map((each) => (each.link === link.link ? { ...each, ...link } : each)) : [...links, link],
    });
  }
}
