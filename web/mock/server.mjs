// A server of states without any sound behind it: every page in every state, for tests and for work on the looks.
//
//   node mock/server.mjs [AUDIENCE_PORT] [STAFF_PORT]     prints {"audience": URL, "staff": URL} once it listens
//
// Rooms are named by their state: /r/live, /r/held … Links on the staff port: /r/live#t=host, #t=speaker,
// #t=moderator, #t=cohost, #t=used (open elsewhere), #t=gone (on a device that is away),
// #t=blocked, anything else is refused; /#t=operator.
// Tests turn its knobs: POST /mock/room/ROOM (patch state.json), /mock/stage/ROOM (patch the stage),
// /mock/event/ROOM/NAME (send that event), /mock/ticket (the answer at the door), /mock/door (dials), /mock/away {"away": true}, /mock/reset; GET /mock/calls lists API calls.

import { createReadStream, existsSync } from "node:fs";
import { createServer } from "node:http";
import { extname, join } from "node:path";
import { doorOut, resetDoor, staffDoor, ticketAnswer, turnDoor } from "./door.mjs";
import { makeAudience, makeBlocks, makeLinks, makeRooms, makeStage, tone } from "./rooms.mjs";

const DIST = join(import.meta.dirname, "../../src/stentor/web/dist");
const TYPES = {
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript",
  ".css": "text/css",
  ".svg": "image/svg+xml",
};
/** What the pages must work under. */
const POLICY = "default-src 'self'; media-src 'self' blob:; object-src 'none'; base-uri 'none'; frame-ancestors 'none'";
const ROLES = { host: "host", speaker: "speaker", moderator: "moderator", cohost: "cohost", operator: "operator" };
const MOVES = { schedule: "scheduled", open: "lobby", start: "live", hold: "held", resume: "live", end: "ended" };

const names = { host: "Layla Haddad", speaker: "Jonas Weber" };

const LADDER = {
  step: 3,
  by_hand: false,
  since: new Date().toISOString(),
  why: "2 of 3 edges are short of time or line: 1,204 of 4,000 listeners of edge-2 have not read what was sent.",
  cause: "unread",
};

const wav = tone();
let origin = "";
let rooms = makeRooms(origin);
let stages = new Map();
let links = makeLinks();
let blocks = makeBlocks();
let away = false;
/** @type {Record<string, unknown>} */
let hand = {};
let line = /** @type {Record<string, unknown>[]} */ ([]);
let mine = false;
/** @type {{step: number, by_hand: boolean, since: string | null, why: string, cause: string}} */
let ladder = { ...LADDER };
/** @type {any[]} */
let said = [];
/** @type {string[]} */
let calls = [];
/** @type {Map<string, Set<import("node:http").ServerResponse>>} */
const streams = new Map();

function reset() {
  resetDoor();
  rooms = makeRooms(origin);
  stages = new Map([...rooms].map(([id, room]) => [id, makeStage(room)]));
  links = makeLinks();
  blocks = makeBlocks();
  away = false;
  hand = { ...HAND, state: "none" };
  line = LINE;
  mine = false;
  ladder = { ...LADDER };
  calls = [];
}

/** @param {import("node:http").ServerResponse} response @param {number} status @param {unknown} body */
function json(response, status, body) {
  response.writeHead(status, { "Content-Type": status < 400 ? "application/json" : "application/problem+json" });
  response.end(JSON.stringify(body));
}

/** @param {import("node:http").ServerResponse} response @param {number} status @param {string} slug @param {object} more */
function problem(response, status, slug, more = {}) {
  json(response, status, { type: `urn:stentor:problem:${slug}`, status, detail: `The mock says ${slug}.`, ...more });
}

/** @param {import("node:http").IncomingMessage} request */
async function bodyOf(request) {
  let text = "";
  for await (const piece of request) text += piece;
  return text && text.startsWith("{") ? JSON.parse(text) : {};
}

/** @param {import("node:http").ServerResponse} response @param {string} path */
function file(response, path) {
  const full = join(DIST, path);
  if (path.includes("..") || !existsSync(full)) return json(response, 404, {});
  response.setHeader(
    "Content-Type",
    TYPES[/** @type {keyof typeof TYPES} */ (extname(path))] ?? "application/octet-stream",
  );
  response.setHeader("Content-Security-Policy", POLICY);
  createReadStream(full).pipe(response);
}

/** @param {string} room @param {string} event @param {unknown} data */
function send(room, event, data) {
  for (const stream of streams.get(room) ?? []) stream.write(`event: ${event}\ndata: ${JSON.stringify(data)}\n\n`);
}

/** @param {string} id */
function tellRoom(id) {
  send(id, "room", rooms.get(id));
  send(id, "stage", stages.get(id));
}

/** @param {import("node:http").IncomingMessage} request @param {import("node:http").ServerResponse} response @param {string[]} path */
async function knobs(request, response, path) {
  const [, what = "", id = "", name = ""] = path;
  const body = await bodyOf(request);
  if (what === "reset") reset();
  else if (what === "away") away = body.away;
  else if (what === "ticket" || what === "door") turnDoor(what, body);
  else if (what === "hand") hand = { ...HAND, ...body };
  else if (what === "calls") return json(response, 200, calls);
  else if (what === "room") rooms.set(id, { ...(rooms.get(id) ?? {}), ...body });
  else if (what === "stage") stages.set(id, { ...stages.get(id), ...body });
  else if (what === "event") send(id, name, body);
  if (what === "room" || what === "stage") tellRoom(id);
  if (what === "door") for (const id of streams.keys()) send(id, "door", doorOut());
  return json(response, 200, {});
}

/** How the hand of whoever listens stands: it waits as second, until the knob turns. */
const HAND = { state: "waiting", position: 2, retry_after_s: 1, url: null };
/** The line as hosts see it. */
const LINE = [
  { hand: "h1", name: "Mariam Said", person: null, state: "invited", position: null, here: true },
  { hand: "h2", name: "محمد الأمين", person: null, state: "waiting", position: 1, here: true },
  { hand: "h3", name: "Jonas Weber", person: "p-speaker", state: "waiting", position: 2, here: true },
  {
    hand: "h4",
    name: "A listener with quite a long name indeed",
    person: null,
    state: "waiting",
    position: 3,
    here: false,
  },
];

/** @param {string} id */
function tellHands(id) {
  send(id, "hands", { open: rooms.get(id)?.["hands_open"], total: line.length, mine: mine ? 2 : null, hands: line });
}

/** @param {import("node:http").IncomingMessage} request @param {import("node:http").ServerResponse} response @param {string} id @param {string} one */
async function hands(request, response, id, one) {
  const { open } = await bodyOf(request);
  if (one === "me") mine = request.method === "PUT";
  else if (open !== undefined) /** @type {any} */ (rooms.get(id))["hands_open"] = open;
  else if (request.method === "DELETE") line = line.filter((each) => each.hand !== one);
  else line = line.map((each) => (each.hand === one ? { ...each, state: "invited", position: null } : each));
  tellHands(id);
  return json(response, 200, {});
}

/** @param {import("node:http").IncomingMessage} request @param {import("node:http").ServerResponse} response */
async function raisedHand(request, response) {
  const { ask } = await bodyOf(request);
  if (request.method === "DELETE") hand = { ...HAND, state: "none" };
  else if (!ask && hand.state === "none") hand = HAND;
  return json(response, 200, hand);
}

/** @param {import("node:http").IncomingMessage} request @param {import("node:http").ServerResponse} response */
function recording(request, response) {
  const range = /bytes=(\d+)-(\d*)/.exec(request.headers.range ?? "");
  const start = range ? Number(range[1]) : 0;
  const end = range?.[2] ? Number(range[2]) : wav.length - 1;
  response.writeHead(range ? 206 : 200, {
    "Content-Type": "audio/wav",
    "Accept-Ranges": "bytes",
    "Content-Length": end - start + 1,
    ...(range && { "Content-Range": `bytes ${start}-${end}/${wav.length}` }),
  });
  response.end(wav.subarray(start, end + 1));
}

/** @param {import("node:http").IncomingMessage} request @param {import("node:http").ServerResponse} response @param {string[]} path */
function audience(request, response, path) {
  const [first = "", id = "", rest = ""] = path;
  if (first === "rooms.json") {
    const list = [...rooms.values()].map((room) => ({
      ...room,
      listeners: /** @type {any} */ (room["audience"]).listeners,
    }));
    return json(response, 200, { rooms: list, server_time: new Date().toISOString() });
  }
  if (first === "r" && rest === "state.json") {
    const room = rooms.get(id);
    if (!room) return problem(response, 404, "not-found");
    return json(response, 200, { ...room, server_time: new Date().toISOString() });
  }
  if (first === "r" && rest === "hand") return raisedHand(request, response);
  if (first === "r" && rest === "ticket") return away ? request.socket.destroy() : json(response, 200, ticketAnswer());
  if (first === "r" && rest.startsWith("recording.")) return recording(request, response);
  if (first === "" || (first === "r" && !rest)) return file(response, "index.html");
  return problem(response, 404, "not-found");
}

/** @param {import("node:http").IncomingMessage} request @param {import("node:http").ServerResponse} response @param {string[]} path */
async function staff(request, response, path) {
  if (path[0] !== "api") {
    if (path[2] === "whip") return problem(response, 503, "origin-unavailable");
    return file(response, "stage.html");
  }
  const [, , what = "", id = "", noun = "", one = "", verb = ""] = path;
  if (request.method !== "GET") calls.push(`${request.method} ${path.slice(2).join("/")}`);
  if (what === "session") return session(request, response);
  if (!request.headers.authorization?.startsWith("Bearer s-")) return problem(response, 401, "unauthenticated");
  if (what === "installation" && id === "ladder") return ladderOf(request, response);
  if (what === "installation" && id === "status") return statusOf(request, response, noun);
  if (what === "installation" && id === "door")
    return json(response, 200, staffDoor(request.method, noun, await bodyOf(request)));
  if (!id)
    return request.method === "POST" ? create(request, response) : json(response, 200, { rooms: [...rooms.values()] });
  const room = rooms.get(id);
  if (!room) return problem(response, 404, "not-found");
  if (noun === "events") return events(request, response, id);
  if (noun === "crowd") return problem(response, 404, "not-found");
  if (noun === "rehearsals") return json(response, 200, { last: null });
  if (noun === "door") {
    json(response, 200, staffDoor(request.method, one, await bodyOf(request)));
    return send(id, "door", doorOut());
  }
  if (noun === "hands") return hands(request, response, id, one);
  if (noun === "audience") return json(response, 200, makeAudience(/** @type {any} */ (room)));
  if (noun === "links") return linksOf(request, response, id, one, verb);
  if (noun === "people") return people(request, response, id, one, verb);
  if (noun === "ice") return json(response, 200, { ice_servers: [] });
  if (noun === "mute-all") return muteAll(response, id);
  if (noun === "blocks") {
    if (request.method === "DELETE") blocks = [];
    return json(response, 200, { blocks });
  }
  if (noun === "announcement") {
    const { text } = await bodyOf(request);
    room["announcement"] = request.method === "PUT" ? { text, at: new Date().toISOString() } : null;
  } else if (noun === "delivery") {
    room["block_steps"] = (await bodyOf(request)).block_steps;
  } else if (noun) {
    return move(request, response, room, /** @type {keyof typeof MOVES} */ (noun));
  } else if (request.method === "PATCH") {
    Object.assign(room, await bodyOf(request));
  }
  tellRoom(id);
  return json(response, 200, room);
}

/** @param {import("node:http").IncomingMessage} request @param {import("node:http").ServerResponse} response */
async function session(request, response) {
  const { token: sent, take_over: takeOver } = await bodyOf(request);
  if (sent === "blocked") return problem(response, 403, "blocked");
  const token = sent === "gone" && takeOver ? "speaker" : sent;
  if (token === "used" || token === "gone")
    return problem(response, 409, "link-in-use", { code: "4071", may_take_over: token === "gone" });
  const role = ROLES[/** @type {keyof typeof ROLES} */ (token)];
  if (!role) return problem(response, 401, "unauthenticated");
  return json(response, 200, {
    session: `s-${token}`,
    role,
    room: null,
    person: `p-${token}`,
    name: names[/** @type {keyof typeof names} */ (token)] ?? "Sam",
    expires_at: new Date(Date.now() + 3_600_000).toISOString(),
    audience_url: origin,
  });
}

/** @param {import("node:http").IncomingMessage} request @param {import("node:http").ServerResponse} response @param {string} id */
function events(request, response, id) {
  response.writeHead(200, { "Content-Type": "text/event-stream" });
  const mine = streams.get(id) ?? new Set();
  streams.set(id, mine.add(response));
  request.on("close", () => mine.delete(response));
  tellRoom(id);
  const own = links.find((/** @type {any} */ each) => each.link === personOf(request));
  if (own) response.write(`event: link\ndata: ${JSON.stringify(own)}\n\n`);
  send(id, "audience", makeAudience(/** @type {any} */ (rooms.get(id))));
  tellHands(id);
  send(id, "door", doorOut());
}

/** @param {import("node:http").IncomingMessage} request @param {import("node:http").ServerResponse} response */
async function create(request, response) {
  const fields = await bodyOf(request);
  const id = fields.room ?? "new-room";
  if (rooms.has(id)) return problem(response, 409, "room-exists", { detail: "There is a room of this name already." });
  const made = {
    .../** @type {any} */ (rooms.get("draft")),
    ...fields,
    room: id,
    state: fields.planned_start ? "scheduled" : "draft",
  };
  rooms.set(id, made);
  stages.set(id, makeStage(made));
  const link = (/** @type {string} */ token) => `${origin}/r/${id}#t=${token}`;
  return json(response, 201, {
    ...made,
    links: { listener: `${origin}/r/${id}`, host: link("host"), speaker: link("speaker") },
  });
}

/** @param {import("node:http").IncomingMessage} request @param {import("node:http").ServerResponse} response @param {string} id @param {string} one @param {string} verb */
async function linksOf(request, response, id, one, verb) {
  if (request.method === "GET") return json(response, 200, { links });
  if (request.method === "POST" && !one) {
    const { role, name } = await bodyOf(request);
    const link = { link: `l-${links.length}`, role, name, state: "unused" };
    links.push(link);
    return json(response, 201, { ...link, url: `${origin}/r/${id}#t=${role}` });
  }
  links = links.map((each) => (each.link === one ? { ...each, state: verb === "move" ? "in-use" : "revoked" } : each));
  send(
    id,
    "link",
    links.find((each) => each.link === one),
  );
  return json(response, 200, {});
}

/** @param {import("node:http").IncomingMessage} request @param {import("node:http").ServerResponse} response @param {string} id @param {string} one @param {string} verb */
async function people(request, response, id, one, verb) {
  const stage = stages.get(id);
  const { muted, role } = await bodyOf(request);
  if (verb === "role") {
    giveRole(id, one, role, role === "host" ? "handed-over" : "given", names.host);
    if (role === "host") giveRole(id, personOf(request), "cohost", "handed-over", names.host);
  } else if (verb === "mute") {
    const by = request.headers.authorization?.endsWith(one.slice(2)) ? "self" : "host";
    stage.people = stage.people.map((/** @type {any} */ each) =>
      each.person === one ? { ...each, muted_by: muted ? by : null } : each,
    );
  } else if (request.method === "DELETE") {
    stage.people = stage.people.filter((/** @type {any} */ each) => each.person !== one);
  }
  tellRoom(id);
  return json(response, 200, {});
}

/** @param {string} id @param {string} person @param {string} role @param {string} why @param {string} by */
function giveRole(id, person, role, why, by) {
  const stage = stages.get(id);
  const change = (/** @type {any} */ each) => ((each.person ?? each.link) === person ? { ...each, role } : each);
  stage.people = stage.people.map(change);
  links = links.map(change);
  for (const link of links) if (link.link === person) send(id, "link", link);
  send(id, "role", { person, name: person, role, why, by });
}

/** @param {import("node:http").IncomingMessage} request */
function personOf(request) {
  return `p-${request.headers.authorization?.split("s-")[1]}`;
}

/** @param {import("node:http").IncomingMessage} request @param {import("node:http").ServerResponse} response */
async function ladderOf(request, response) {
  if (request.method === "PUT") {
    const { step } = await bodyOf(request);
    const why = { why: "Set by hand by Nour.", cause: "by-hand", by_hand: true, since: new Date().toISOString() };
    ladder = step === null ? { ...ladder, by_hand: false, cause: "", why: "" } : { step, ...why };
  }
  const steps = [1, 2, 3, 4, 5].map((step) => ({
    step,
    in_force: step <= ladder.step,
    cpu_saved: step === 1 ? 0.74 : null,
    bytes_saved: step === 3 ? 0.47 : null,
  }));
  return json(response, 200, { ...ladder, steps });
}

/** @param {import("node:http").IncomingMessage} request @param {import("node:http").ServerResponse} response @param {string} event */
async function statusOf(request, response, event) {
  if (request.method === "DELETE") said = said.filter((each) => each.id !== event);
  if (request.method === "POST") {
    const { text } = await bodyOf(request);
    said = [{ id: `e-${said.length}`, at: new Date().toISOString(), kind: "said", room: null, text }, ...said];
  }
  const copied = { written_at: new Date().toISOString(), problem: null };
  return json(response, 200, { url: "/status", next_update_at: null, events: said, copied });
}

/** @param {import("node:http").ServerResponse} response @param {string} id */
function muteAll(response, id) {
  const stage = stages.get(id);
  const meant = (/** @type {any} */ each) => !each.muted_by && each.role !== "host" && each.role !== "cohost";
  const muted = stage.people.filter(meant);
  stage.people = stage.people.map((/** @type {any} */ each) => (meant(each) ? { ...each, muted_by: "host" } : each));
  tellRoom(id);
  const people = muted.map((/** @type {any} */ each) => ({ person: each.person, name: each.name }));
  return json(response, 200, { people });
}

/** @param {import("node:http").IncomingMessage} request @param {import("node:http").ServerResponse} response @param {import("./rooms.mjs").Room} room @param {keyof typeof MOVES} name */
async function move(request, response, room, name) {
  const { expected, force } = await bodyOf(request);
  if (expected && expected !== room.state)
    return problem(response, 409, "wrong-state", { detail: `This room is ${room.state}.`, state: room.state });
  const stage = stages.get(room.room);
  const late = stage.people.filter((/** @type {any} */ each) => each.muted_by || !each.heard);
  if (name === "start" && !force && late.length > 0) {
    const speakers = late.map((/** @type {any} */ each) => ({
      person: each.person,
      name: each.name,
      reason: each.muted_by ? "muted" : "not-heard",
    }));
    return problem(response, 409, "speakers-not-ready", { speakers });
  }
  room.state = MOVES[name];
  room["on_air"] = stage.on_air = room.state === "live";
  tellRoom(room.room);
  return json(response, 200, room);
}

/** @param {(request: import("node:http").IncomingMessage, response: import("node:http").ServerResponse, path: string[]) => unknown} serve @param {number} port @returns {Promise<string>} */
function listen(serve, port) {
  const server = createServer((request, response) => {
    const path = new URL(request.url ?? "/", "http://mock").pathname.split("/").slice(1);
    if (path[0] === "mock") return void knobs(request, response, path);
    if (path[0] === "assets") return void file(response, path.join("/"));
    if (away && (path[0] === "api" || path.at(-1)?.endsWith(".json"))) return void request.socket.destroy();
    void serve(request, response, path);
  });
  return new Promise((resolve) => {
    server.listen(port, "127.0.0.1", () => {
      const address = server.address();
      resolve(`http://127.0.0.1:${typeof address === "object" && address ? address.port : port}`);
    });
  });
}

const [audiencePort, staffPort] = process.argv.slice(2).map(Number);
origin = await listen(audience, audiencePort || 0);
const staffOrigin = await listen(staff, staffPort || 0);
reset();
console.log(JSON.stringify({ audience: origin, staff: staffOrigin }));
