// The rooms of the mock server: one for each state of a room's life.

const FINGERPRINT = "9f2c4e1ab7d05c3388e6f1a2447bd90c1e5f60a3d7c84b2915fe0d6a3b7c8e12";
const HOUR = 3_600_000;

const PEOPLE = [
  { person: "p-host", name: "Layla Haddad", role: "host", speaking: true, muted: false },
  { person: "p-speaker", name: "Jonas Weber", role: "speaker", speaking: false, muted: false },
  { person: "p-guest", name: "نور الدين", role: "speaker", speaking: false, muted: true },
];

const GOOD = {
  light: "good",
  cause: null,
  loss: 0.002,
  concealed: 0,
  recovered: 0.002,
  jitter_ms: 4.2,
  depth_ms: 38,
  loss_there: 0,
  round_trip_ms: 31,
  echo_db: null,
};
const SOUNDS = {
  "p-host": GOOD,
  "p-speaker": {
    ...GOOD,
    light: "poor",
    cause: "uplink-loss",
    loss: 0.083,
    concealed: 0.021,
    recovered: 0.06,
    jitter_ms: 22.4,
    depth_ms: 96,
    round_trip_ms: 140,
  },
  "p-guest": { ...GOOD, light: "fair", cause: "echo", echo_db: 24 },
};

/**
 * @typedef {Record<string, unknown> & {room: string, state: string, title: string, planned_start: string | null}} Room
 * @param {string} origin of the audience port
 * @returns {Map<string, Room>}
 */
export function makeRooms(origin) {
  const now = Date.now();
  const iso = (/** @type {number} */ offset) => new Date(now + offset).toISOString();
  /** @type {Room[]} */
  const rooms = [
    room("draft", { title: "A room in preparation" }),
    room("scheduled", {
      title: "Night Shift: How a City Sleeps",
      planned_start: iso(2 * 24 * HOUR + 3 * HOUR + 12 * 60_000),
      time_zone: "Asia/Beirut",
    }),
    room("lobby", { title: "Morning Call", people: PEOPLE.slice(0, 2), listeners: 3 }),
    room("live", {
      title: "Letters From the Coast",
      people: PEOPLE,
      listeners: 1284,
      on_air: true,
      started_at: iso(-20 * 60_000),
      announcement: { text: "Questions are taken from nine o’clock.", at: iso(-60_000) },
    }),
    room("held", { title: "حديث المساء", language: "ar", people: PEOPLE, listeners: 11, started_at: iso(-HOUR) }),
    room("ended", { title: "The Long Table", started_at: iso(-2 * HOUR), ended_at: iso(-60_000) }),
    room("published", {
      title: "The Long Table, Part One",
      started_at: iso(-30 * HOUR),
      ended_at: iso(-29 * HOUR),
      replay: {
        hls: "/r/published/replay.m3u8",
        recordings: {
          m4a: "/r/published/recording.m4a",
          opus: "/r/published/recording.opus",
          mp3: "/r/published/recording.mp3",
        },
        proof: "/r/published/proof.json",
        duration_s: 120,
        holds: [{ start_s: 40, end_s: 60 }],
      },
    }),
  ];
  return new Map(rooms.map((each) => [each.room, each]));

  /**
   * @param {string} state
   * @param {Record<string, unknown> & {title: string, listeners?: number, by_beacon?: number}} rest
   * @returns {Room}
   */
  function room(state, { listeners = 0, by_beacon = 0, ...rest }) {
    const path = `/r/${state}`;
    return {
      room: state,
      description: "Two people, one hour, no slides. Bring a cup of something warm.",
      language: "en",
      state,
      on_air: false,
      epoch: 3,
      planned_start: null,
      time_zone: null,
      started_at: null,
      ended_at: null,
      people: [],
      audience: { listeners, by_beacon },
      announcement: null,
      recorded: true,
      seats: 13,
      hands_open: true,
      noise_gate: false,
      key_fingerprint: FINGERPRINT,
      staff_url: `${origin}${path}`,
      streams: {
        push: `${path}/push`,
        hls: `${path}/live.m3u8`,
        hls_opus: `${path}/live-opus.m3u8`,
        listen: { aac: `${path}/listen.aac`, mp3: `${path}/listen.mp3`, opus: `${path}/listen.opus` },
      },
      replay: null,
      ...rest,
    };
  }
}

/** Who listens, as control says it; half of them at each of two edges. @param {Room} room */
export function makeAudience(room) {
  const { listeners, by_beacon = 0 } = /** @type {{listeners: number, by_beacon?: number}} */ (room["audience"]);
  const heard = {
    joins: Math.round(listeners / 4),
    leaves: { left: Math.round(listeners / 20), "server-stops": 3 },
    cuts: listeners > 100 ? { "too-slow": 5, "no-pong": 2 } : {},
    join_ms_p50: 420,
    join_ms_p95: 1830,
    latency_ms_p50: 1240,
    stall_ratio: 0.0031,
  };
  const half = Math.ceil(listeners / 2);
  const edges = [half, listeners - half].map((count, at) => {
    const hls = Math.floor(count / 4);
    const progressive = Math.floor(count / 10);
    return {
      edge: `edge-${at + 1}`,
      listeners: count,
      block_steps: at + 1,
      transports: {
        push: { ...heard, listeners: count - hls - progressive },
        hls: { ...heard, listeners: hls, cuts: {}, leaves: { left: 4 } },
        progressive: { ...heard, listeners: progressive, join_ms_p50: null, join_ms_p95: null, stall_ratio: null },
      },
    };
  });
  const total = (/** @type {"push" | "hls" | "progressive"} */ way) => ({
    ...heard,
    listeners: edges.reduce((sum, edge) => sum + edge.transports[way].listeners, 0),
  });
  const history = Array.from({ length: 60 }, (_, at) => Math.round(listeners * (0.55 + 0.45 * Math.sin(at / 38))));
  return {
    ...heard,
    listeners,
    by_beacon,
    window_s: 300,
    history_s: 10,
    history,
    transports: { push: total("push"), hls: total("hls"), progressive: total("progressive") },
    edges,
  };
}

/** @param {Room} room */
export function makeStage(room) {
  const people = /** @type {typeof PEOPLE} */ (room["people"]);
  return {
    room: room.room,
    epoch: 3,
    on_air: room["on_air"] === true,
    level_dbfs: -21,
    silent_s: 0,
    people: people.map((each) => ({
      person: each.person,
      name: each.name,
      role: each.role,
      connected: true,
      muted_by: each.muted ? "host" : null,
      speaking: each.speaking,
      heard: each.speaking,
      level_dbfs: each.speaking ? -18 : -62,
      sound: SOUNDS[/** @type {keyof typeof SOUNDS} */ (each.person)],
    })),
  };
}

export function makeLinks() {
  return [
    { link: "p-host", role: "host", name: "Layla Haddad", state: "in-use" },
    { link: "p-speaker", role: "speaker", name: "Jonas Weber", state: "asked", asked_code: "4071" },
    { link: "p-guest", role: "speaker", name: "نور الدين", state: "in-use" },
    { link: "p-late", role: "moderator", name: "Sam", state: "unused" },
  ];
}

/** @returns {{person: string, name: string, by: string, at: string}[]} */
export function makeBlocks() {
  return [{ person: "p-out", name: "Max", by: "Layla Haddad", at: new Date().toISOString() }];
}

/** A quiet tone as a WAV, so that a replay can be played without any server behind it. */
export function tone(seconds = 120, rate = 8_000) {
  const bytes = Buffer.alloc(44 + seconds * rate);
  bytes.write("RIFF", 0);
  bytes.writeUInt32LE(36 + seconds * rate, 4);
  bytes.write("WAVEfmt ", 8);
  bytes.writeUInt32LE(16, 16);
  bytes.writeUInt16LE(1, 20);
  bytes.writeUInt16LE(1, 22);
  bytes.writeUInt32LE(rate, 24);
  bytes.writeUInt32LE(rate, 28);
  bytes.writeUInt16LE(1, 32);
  bytes.writeUInt16LE(8, 34);
  bytes.write("data", 36);
  bytes.writeUInt32LE(seconds * rate, 40);
  for (let i = 0; i < seconds * rate; i += 1)
    bytes[44 + i] = 128 + Math.round(20 * Math.sin((i / rate) * 2 * Math.PI * 330));
  return bytes;
}
