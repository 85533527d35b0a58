// The door of the mock server: what listeners are told of their place, and what the dials would do.

const WAITS = {
  admitted: false,
  ticket: "mock-ticket",
  position: 1284,
  wait_s: [180, 300],
  retry_after_s: 1,
  because: null,
  challenge: null,
  overflow: null,
  replay: null,
};

const LINE = { inside: 4000, held: 12, waiting: 4000, admitted_per_s: 480, leaving_per_s: 3.5, overflow: 230 };
const NO_DIALS = { cap: null, per_second: null };

/** @type {Record<string, unknown>} */
let answer = {};
/** @type {{cap: number | null, per_second: number | null}} */
let dials = NO_DIALS;
/** @type {Record<string, unknown>} */
let held = {};

export function resetDoor() {
  answer = { ...WAITS };
  dials = { ...NO_DIALS };
  held = {};
}

/** Turns the knobs `ticket` (the answer at the door) and `door` (dials, and `held`: who holds them lower). */
export function turnDoor(/** @type {string} */ what, /** @type {any} */ body) {
  if (what === "ticket") answer = { ...WAITS, ...body };
  else {
    const { held: by = held, ...rest } = body;
    dials = { ...dials, ...rest };
    held = by;
  }
}

export function ticketAnswer() {
  return answer;
}

function forecast(/** @type {typeof dials} */ { cap, per_second: rate }) {
  const free = cap === null ? null : Math.max(0, cap - LINE.inside - LINE.held);
  const perMinute = Math.min(LINE.waiting, rate === null ? LINE.waiting : rate * 60);
  const stuck = free !== null && free < LINE.waiting;
  const minutes = Math.min(60, Math.ceil(LINE.waiting / Math.max(1, perMinute)));
  return {
    waiting: LINE.waiting,
    free,
    last_enters_at: stuck ? null : new Date(Date.now() + minutes * 60_000).toISOString(),
    last_enters_in_s: stuck ? null : minutes * 60,
    per_minute: Array.from({ length: minutes }, (_, at) => Math.min(perMinute, LINE.waiting - at * perMinute)),
  };
}

export function doorOut() {
  const guarded = dials.cap !== null || dials.per_second !== null;
  const line = guarded ? LINE : { ...LINE, held: 0, waiting: 0, admitted_per_s: 0, leaving_per_s: 0 };
  const none = { waiting: 0, free: null, last_enters_at: null, last_enters_in_s: null, per_minute: [] };
  return {
    ...dials,
    ...line,
    guarded,
    because: null,
    in_force: { ...dials, cap_by: null, per_second_by: null, ...held },
    forecast: guarded ? forecast(dials) : none,
    rooms: guarded ? [{ room: "live", inside: 3000, waiting: 4000 }] : [],
  };
}

/** What the staff API answers at …/door and …/door/preview. */
export function staffDoor(
  /** @type {string | undefined} */ method,
  /** @type {string} */ verb,
  /** @type {any} */ body,
) {
  if (verb === "preview") {
    const tried = { ...dials, ...body };
    return { dials: tried, in_force: { ...tried, cap_by: null, per_second_by: null }, forecast: forecast(tried) };
  }
  if (method === "PUT") dials = { ...dials, ...body };
  return doorOut();
}
