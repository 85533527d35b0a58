/** What the servers say (docs/design.md, state.json and the staff API). */

export type RoomState = "draft" | "scheduled" | "lobby" | "live" | "held" | "ended" | "published";
export type Role = "operator" | "host" | "cohost" | "speaker" | "moderator";

export interface Person {
  person: string;
  name: string;
  role: Role;
  speaking: boolean;
  muted: boolean;
}

export interface Announcement {
  text: string;
  at: string;
}

export interface Streams {
  push: string;
  hls: string;
  hls_opus: string;
  listen: { aac: string; mp3: string; opus: string };
}

export interface Replay {
  hls: string;
  recordings: { m4a?: string; opus?: string; mp3?: string };
  proof: string;
  duration_s: number;
  holds: { start_s: number; end_s: number }[];
}

/** The part of a room that both ports tell. */
export interface RoomHead {
  room: string;
  title: string;
  description: string;
  language: string;
  state: RoomState;
  planned_start: string | null;
  time_zone: string | null;
  started_at: string | null;
  ended_at: string | null;
  announcement: Announcement | null;
  recorded: boolean;
  key_fingerprint: string;
}

/** state.json */
export interface RoomView extends RoomHead {
  /** Listeners may raise their hands. */
  hands_open?: boolean;
  on_air: boolean;
  epoch: number;
  server_time: string;
  people: Person[];
  /** `by_beacon`: listeners behind caches, whom only their players' beacons show; not among the `listeners`. */
  audience: { listeners: number; by_beacon?: number };
  /** How much sound comes at once over the push. */
  delivery?: { block_steps: number; block_s: number };
  /** Who gets in; `guarded`: there is a line, and listeners need a ticket. */
  door?: { guarded: boolean };
  ladder?: { step: number; text: string };
  /** After how many seconds, at the soonest, to ask for it again. */
  poll_s?: number;
  staff_url: string | null;
  streams: Streams;
  replay: Replay | null;
}

/** What the status page tells, the newest first; `copied`: how it stands with its copy in the object store. */
export interface InstallationStatus {
  url: string;
  next_update_at: string | null;
  events: { id: string; at: string; kind: string; room: string | null; text: string }[];
  copied: { written_at: string | null; problem: string | null } | null;
}

/** The step of the ladder in force (docs/ladder.md); `cause` is empty while nothing is. */
export interface LadderWord {
  step: number;
  by_hand: boolean;
  since: string | null;
  why: string;
  cause: "" | "by-hand" | "calm" | "cpu" | "late" | "unread" | "queue" | "line";
}

/** `cpu_saved`, `bytes_saved`: shares of what a listener cost before the step was taken, `null`: not seen. */
export interface LadderStep {
  step: number;
  in_force: boolean;
  cpu_saved: number | null;
  bytes_saved: number | null;
}

export interface LadderView extends LadderWord {
  steps: LadderStep[];
}

export interface RoomListing {
  room: string;
  title: string;
  state: RoomState;
  planned_start: string | null;
  listeners: number;
  recorded: boolean;
}

export type Light = "good" | "fair" | "poor";
export type SoundCause = "uplink-loss" | "uplink-jitter" | "uplink-silence" | "downlink-loss" | "echo" | "quiet";

/** How one person's sound travels, over the last 5 s; shares are 0 to 1. */
export interface SoundReport {
  light: Light;
  cause: SoundCause | null;
  loss: number;
  concealed: number;
  recovered: number;
  jitter_ms: number;
  depth_ms: number;
  loss_there: number;
  round_trip_ms: number | null;
  echo_db: number | null;
}

/** StageDocument */
export interface StagePerson {
  person: string;
  name: string;
  role: Role;
  connected: boolean;
  muted_by: "self" | "host" | null;
  speaking: boolean;
  heard: boolean;
  level_dbfs: number;
  sound?: SoundReport | null;
}

export interface Stage {
  room: string;
  epoch: number;
  on_air: boolean;
  people: StagePerson[];
  level_dbfs: number;
  silent_s: number;
}

/** What happened in the last minutes; times in milliseconds, as players say, `null`: none has said. */
export interface Heard {
  joins: number;
  leaves: Readonly<Record<string, number>>;
  cuts: Readonly<Record<string, number>>;
  join_ms_p50: number | null;
  join_ms_p95: number | null;
  latency_ms_p50: number | null;
  stall_ratio: number | null;
}

export type Transports = Readonly<Record<string, Heard & { listeners: number }>>;

/** Who listens to a room, as control merges it over the edges. */
export interface Audience extends Heard {
  listeners: number;
  /** Players behind caches whom only their beacons show; not among the listeners. */
  by_beacon: number;
  /** Listeners that a rehearsal's generator made; in no other count. */
  rehearsal?: number;
  window_s: number;
  history_s: number;
  history: readonly number[];
  transports: Transports;
  edges: readonly { edge: string; listeners: number; block_steps: number; transports: Transports }[];
}

/** One figure of a rehearsal's verdict. */
export interface RehearsalFinding {
  key: string;
  what: string;
  value: number | null;
  unit: string;
  at_most: number | null;
  at_least: number | null;
  met: boolean | null;
}

/** A room's last rehearsal (docs/rehearsal.md); `void`: the configuration is another one now. */
export interface LastRehearsal {
  verdict: {
    outcome: "met" | "missed" | "unsure" | "interrupted" | "void";
    begun_at: string;
    listeners: number;
    per_second: number;
    findings: readonly RehearsalFinding[];
    limits: readonly string[];
  };
  void: boolean;
  changed: readonly string[];
}

/** Of those who arrived within a minute: how many behave like people. */
export interface CrowdMinute {
  at: string;
  arrivals: number;
  people: number;
  not_people: number;
  early: number;
  lacks: Readonly<Record<string, number>>;
}

/** The crowd-or-attack meter of a room. */
export interface CrowdMeter {
  people_percent: number | null;
  lately: CrowdMinute;
  history: readonly CrowdMinute[];
  networks: readonly { network: string; requests_per_s: number; refused_per_s: number }[];
  agents: Readonly<Record<string, number>>;
  challenged: boolean;
  requests_per_s: number;
  refused_per_s: number;
  cut_per_s: number;
}

export interface Session {
  session: string;
  role: Role;
  room: string | null;
  person: string;
  name: string;
  expires_at: string;
  audience_url: string | null;
}

export type LinkState = "unused" | "in-use" | "asked" | "revoked";

export interface Link {
  link: string;
  role: Role;
  name: string;
  url?: string | null;
  state: LinkState;
  /** The digits that another device shows which has asked for this link. */
  asked_code?: string | null;
}

/** Somebody's role has changed. `by` is null where nobody did it. */
export interface RoleChange {
  person: string;
  name: string;
  role: Role;
  why: "given" | "handed-over" | "host-absent";
  by: string | null;
}

/** Somebody whose browser may not come back; `person` is the link that they had. */
export interface Block {
  person: string;
  name: string;
  by: string;
  at: string;
}

export interface NotReady {
  person: string;
  name: string;
  reason: "muted" | "not-heard";
}

export interface StaffRoom extends RoomHead {
  /** The least size of blocks; null: each edge decides. */
  block_steps?: number | null;
  seats?: number;
  noise_gate?: boolean;
  zero_ns?: number | null;
  links?: { listener: string; host: string; speaker: string };
}

/** A hand that is up; `person` is null for a listener's. */
export interface Hand {
  hand: string;
  name: string;
  person: string | null;
  state: "waiting" | "invited";
  position: number | null;
  raised_at: string;
  here: boolean;
}

/** The line of raised hands; `hands` is empty for those who do not call on people, `mine` one's own place in it. */
export interface Hands {
  open: boolean;
  total: number;
  mine: number | null;
  hands: readonly Hand[];
}

/** The door's dials; null: as many as come. */
export interface Dials {
  cap: number | null;
  per_second: number | null;
}

/** Who holds a dial lower than it was set. */
export interface DialsInForce extends Dials {
  cap_by: "installation" | "ladder" | null;
  per_second_by: "installation" | "ladder" | null;
}

/** What becomes of the line with dials that stand so. */
export interface DoorForecast {
  waiting: number;
  free: number | null;
  last_enters_at: string | null;
  last_enters_in_s: number | null;
  per_minute: readonly number[];
}

export interface Door extends Dials {
  guarded: boolean;
  /** Those in force: the least of room, installation and ladder; the installation's own door has none. */
  in_force?: DialsInForce;
  inside: number;
  held: number;
  waiting: number;
  admitted_per_s: number;
  leaving_per_s: number;
  overflow: number;
  forecast: DoorForecast;
}

export interface InstallationDoor extends Door {
  rooms: readonly { room: string; inside: number; waiting: number }[];
}

export interface DoorPreview {
  dials: Dials;
  in_force: DialsInForce;
  forecast: DoorForecast;
}

export const OPEN: readonly RoomState[] = ["lobby", "live", "held"];

export function isOpen(state: RoomState): boolean {
  return OPEN.includes(state);
}
