/** The staff API, and its problems (RFC 9457). */
import type {
  Audience,
  Block,
  CrowdMeter,
  Dials,
  Door,
  DoorPreview,
  Hands,
  InstallationDoor,
  InstallationStatus,
  LadderView,
  LastRehearsal,
  Link,
  NotReady,
  Role,
  Session,
  StaffRoom,
  Stage,
} from "../api/types";

/** An answer that is no success. `status` 0: there was no answer. */
export class Problem extends Error {
  constructor(
    readonly status: number,
    readonly slug: string,
    detail: string,
    readonly body: Record<string, unknown> = {},
  ) {
    super(detail);
  }

  /** It may go better later: nobody answered, or the server said so itself. */
  get passing(): boolean {
    return this.status === 0 || this.status === 429 || this.status >= 500;
  }

  get notReady(): NotReady[] {
    return this.slug === "speakers-not-ready" ? ((this.body["speakers"] as NotReady[] | undefined) ?? []) : [];
  }
}

const TIMEOUT_MS = 10_000;
/** With no referrer at all browsers send `Origin: null`, and control refuses foreign origins. */
const REFERRER = "same-origin";

export async function problemOf(response: Response): Promise<Problem> {
  const body = (await response.json().catch(() => ({}))) as Record<string, unknown>;
  const slug =
    String(body["type"] ?? "")
      .split(":")
      .at(-1) ?? "";
  const detail = typeof body["detail"] === "string" ? body["detail"] : `${response.status} ${response.statusText}`;
  return new Problem(response.status, slug, detail, body);
}

/** fetch with a deadline, whose every failure is a Problem. */
export async function ask(url: string, init: RequestInit): Promise<Response> {
  let response: Response;
  try {
    response = await fetch(url, { signal: AbortSignal.timeout(TIMEOUT_MS), referrerPolicy: REFERRER, ...init });
  } catch (error) {
    throw new Problem(0, "no-answer", error instanceof Error ? error.message : String(error));
  }
  if (!response.ok) throw await problemOf(response);
  return response;
}

export async function openSession(token: string, device: string, takeOver: boolean): Promise<Session> {
  const response = await ask("/api/v1/session", {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ token, device, ...(takeOver && { take_over: true }) }),
  });
  return (await response.json()) as Session;
}

export type Move = "schedule" | "open" | "start" | "hold" | "resume" | "end";

export interface RoomFields {
  room?: string;
  title: string;
  description: string;
  language: string;
  planned_start: string | null;
  time_zone: string | null;
  recorded: boolean;
}

/** What of a room can change at any time, beside its fields. */
export interface StageSettings {
  seats: number;
  noise_gate: boolean;
}

/** The API with a session's grant. */
export class StaffApi {
  constructor(readonly session: Session) {}

  get bearer(): Record<string, string> {
    return { Authorization: `Bearer ${this.session.session}` };
  }

  rooms(): Promise<StaffRoom[]> {
    return this.call<StaffRoom[] | { rooms: StaffRoom[] }>("GET", "rooms").then((answer) =>
      Array.isArray(answer) ? answer : answer.rooms,
    );
  }

  create(fields: RoomFields): Promise<StaffRoom> {
    return this.call("POST", "rooms", fields);
  }

  room(room: string): Promise<StaffRoom> {
    return this.call("GET", `rooms/${room}`);
  }

  edit(room: string, fields: Partial<RoomFields & StageSettings>): Promise<StaffRoom> {
    return this.call("PATCH", `rooms/${room}`, fields);
  }

  move(
    room: string,
    move: Move,
    body: { expected?: string; force?: boolean; planned_start?: string },
  ): Promise<StaffRoom> {
    return this.call("POST", `rooms/${room}/${move}`, body);
  }

  /** Relays for who cannot send UDP to the server; their credentials hold for hours. */
  relays(room: string): Promise<RTCIceServer[]> {
    return this.call<{ ice_servers: RTCIceServer[] }>("GET", `rooms/${room}/ice`).then((answer) => answer.ice_servers);
  }

  audience(room: string): Promise<Audience> {
    return this.call("GET", `rooms/${room}/audience`);
  }

  crowd(room: string): Promise<CrowdMeter> {
    return this.call("GET", `rooms/${room}/crowd`);
  }

  /** Each minute of the meter as a table (CSV). */
  async crowdTable(room: string): Promise<Blob> {
    return (await ask(`/api/v1/rooms/${room}/crowd?format=csv`, { headers: this.bearer })).blob();
  }

  roster(room: string): Promise<Stage> {
    return this.call("GET", `rooms/${room}/roster`);
  }

  links(room: string): Promise<Link[]> {
    return this.call<Link[] | { links: Link[] }>("GET", `rooms/${room}/links`).then((answer) =>
      Array.isArray(answer) ? answer : answer.links,
    );
  }

  makeLink(room: string, role: Role, name: string): Promise<Link> {
    return this.call("POST", `rooms/${room}/links`, { role, name });
  }

  revoke(room: string, link: string): Promise<void> {
    return this.call("DELETE", `rooms/${room}/links/${link}`);
  }

  /** `code`: the digits that the new device shows, so that nobody else's device comes between. */
  moveLink(room: string, link: string, code: string | null): Promise<void> {
    return this.call("POST", `rooms/${room}/links/${link}/move`, code === null ? {} : { code });
  }

  blocks(room: string): Promise<Block[]> {
    return this.call<{ blocks: Block[] }>("GET", `rooms/${room}/blocks`).then((answer) => answer.blocks);
  }

  unblock(room: string, person: string): Promise<void> {
    return this.call("DELETE", `rooms/${room}/blocks/${person}`);
  }

  mute(room: string, person: string, muted: boolean): Promise<void> {
    return this.call("POST", `rooms/${room}/people/${person}/mute`, { muted });
  }

  /** Mutes all but hosts and co-hosts; tells who was muted by it. */
  muteAll(room: string): Promise<{ person: string; name: string }[]> {
    return this.call<{ people: { person: string; name: string }[] }>("POST", `rooms/${room}/mute-all`, {}).then(
      (answer) => answer.people,
    );
  }

  giveRole(room: string, person: string, role: Role): Promise<void> {
    return this.call("POST", `rooms/${room}/people/${person}/role`, { role });
  }

  /** `block`: that browser gets in by no other link of the room, either. */
  remove(room: string, person: string, block: boolean): Promise<void> {
    return this.call("DELETE", `rooms/${room}/people/${person}${block ? "?block=true" : ""}`);
  }

  rename(room: string, person: string, name: string): Promise<void> {
    return this.call("PUT", `rooms/${room}/people/${person}/name`, { name });
  }

  announce(room: string, text: string): Promise<void> {
    return this.call("PUT", `rooms/${room}/announcement`, { text });
  }

  unannounce(room: string): Promise<void> {
    return this.call("DELETE", `rooms/${room}/announcement`);
  }

  deliver(room: string, blockSteps: number | null): Promise<StaffRoom> {
    return this.call("PUT", `rooms/${room}/delivery`, { block_steps: blockSteps });
  }

  turnDoor(room: string, dials: Dials): Promise<Door> {
    return this.call("PUT", `rooms/${room}/door`, dials);
  }

  previewDoor(room: string, dials: Dials): Promise<DoorPreview> {
    return this.call("POST", `rooms/${room}/door/preview`, dials);
  }

  installationDoor(): Promise<InstallationDoor> {
    return this.call("GET", "installation/door");
  }

  turnInstallationDoor(dials: Dials): Promise<InstallationDoor> {
    return this.call("PUT", "installation/door", dials);
  }

  previewInstallationDoor(dials: Dials): Promise<DoorPreview> {
    return this.call("POST", "installation/door/preview", dials);
  }

  openHands(room: string, open: boolean): Promise<Hands> {
    return this.call("PUT", `rooms/${room}/hands`, { open });
  }

  inviteHand(room: string, hand: string): Promise<Hands> {
    return this.call("POST", `rooms/${room}/hands/${hand}/invite`, {});
  }

  lowerHand(room: string, hand: string): Promise<void> {
    return this.call("DELETE", `rooms/${room}/hands/${hand}`);
  }

  raiseHand(room: string): Promise<Hands> {
    return this.call("PUT", `rooms/${room}/hands/me`, {});
  }

  lowerOwnHand(room: string): Promise<Hands> {
    return this.call("DELETE", `rooms/${room}/hands/me`);
  }

  status(): Promise<InstallationStatus> {
    return this.call("GET", "installation/status");
  }

  sayStatus(text: string, nextUpdateS: number | null): Promise<InstallationStatus> {
    return this.call("POST", "installation/status", { text, next_update_s: nextUpdateS });
  }

  takeBackStatus(event: string): Promise<void> {
    return this.call("DELETE", `installation/status/${event}`);
  }

  rehearsals(room: string): Promise<{ last: LastRehearsal | null }> {
    return this.call("GET", `rooms/${room}/rehearsals`);
  }

  ladder(): Promise<LadderView> {
    return this.call("GET", "installation/ladder");
  }

  /** `null`: the load decides. */
  setLadder(step: number | null): Promise<LadderView> {
    return this.call("PUT", "installation/ladder", { step });
  }

  private async call<T>(method: string, path: string, body?: unknown): Promise<T> {
    const response = await ask(`/api/v1/${path}`, {
      method,
      headers: { ...this.bearer, ...(body === undefined ? {} : { "Content-Type": "application/json" }) },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const text = await response.text();
    return (text ? JSON.parse(text) : undefined) as T;
  }
}
