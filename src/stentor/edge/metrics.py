"""What an edge counts.

Joins and leaves of a room are noted with its ``Tally`` (edge/tally), which counts here as well. A cut is a leave that
the edge decided on; who is cut before it listens to a room counts in ``REFUSED``.
"""

from enum import StrEnum

from prometheus_client import Counter, Gauge, Histogram

from stentor.room.documents import JOIN_BOUNDS_MS, LATENCY_BOUNDS_MS


class Leave(StrEnum):
    """Why a listener left a transport."""

    LEFT = "left"
    TOO_SLOW = "too-slow"
    NO_PONG = "no-pong"
    PROTOCOL = "protocol"
    OVER_LIMIT = "over-limit"
    SERVER_STOPS = "server-stops"
    ROOM_ENDED = "room-ended"
    ROOM_GONE = "room-gone"
    ELSEWHERE = "elsewhere"
    DOOR = "door"


CUTS = frozenset({Leave.TOO_SLOW, Leave.NO_PONG, Leave.PROTOCOL, Leave.OVER_LIMIT, Leave.ELSEWHERE, Leave.DOOR})
"""The leaves that the edge decided on because of the listener."""


class Refusal(StrEnum):
    """Why a connection was closed before it listened to anything."""

    SILENT = "silent"
    HEAD_LATE = "head-late"
    HEAD_TOO_LARGE = "head-too-large"
    BODY_LATE = "body-late"
    BODY_TOO_LARGE = "body-too-large"
    GARBLED = "garbled"
    PIPELINED = "pipelined"
    NEVER_READ = "never-read"


LISTENERS = Gauge("stentor_edge_listeners_count", "Listeners now.", ["transport"])
CONNECTIONS = Gauge("stentor_edge_connections_count", "Open connections now.")
REQUESTS = Counter("stentor_edge_requests", "Requests answered or taken on.", ["method"])
FAILURES = Counter("stentor_edge_failures", "Requests that ended in an error nobody expected.")
CHUNKS = Counter("stentor_edge_chunks", "Chunks given out to listeners.", ["rendition"])
DROPPED = Counter("stentor_edge_dropped_chunks", "Chunks not given out: stale epoch, repeated or garbled.", ["why"])
FILLED = Counter("stentor_edge_filled_chunks", "Chunks found again after a gap.", ["source"])
MISSING = Counter("stentor_edge_missing_chunks", "Steps that were found nowhere.")
HELD = Gauge("stentor_edge_held_requests_count", "Requests that wait for a part.")
JOINS = Counter("stentor_edge_joins", "Listeners who joined.", ["transport"])
LEAVES = Counter("stentor_edge_leaves", "Listeners who left or were cut.", ["transport", "reason"])
REFUSED = Counter("stentor_edge_refused_connections", "Connections closed before they listened.", ["reason"])
JOIN = Histogram(
    "stentor_edge_join_seconds",
    "From accepting a connection to the first sound written to it.",
    ["transport"],
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0),
)
REHEARSAL = Gauge("stentor_edge_rehearsal_listeners_count", "Listeners of a rehearsal now; in no other count.")
REHEARSED = Counter(
    "stentor_edge_rehearsal_tickets", "Tickets asked for with a permit, by what became of it.", ["outcome"]
)
BY_BEACON = Gauge("stentor_edge_by_beacon_count", "Players whom only their beacons show; the same at every edge.")
BEACONS = Counter("stentor_edge_beacons", "Beacons of players, taken or refused.", ["outcome"])
HANDS = Counter("stentor_edge_hands", "Listeners who raised, asked about or lowered a hand, by answer.", ["outcome"])
REPORTED_JOIN = Histogram(
    "stentor_edge_reported_join_seconds",
    "From the click to the first sound, as players say.",
    ["transport"],
    buckets=[bound / 1000 for bound in JOIN_BOUNDS_MS],
)
REPORTED_LATENCY = Histogram(
    "stentor_edge_reported_latency_seconds",
    "From mouth to ear, as players say.",
    ["transport"],
    buckets=[bound / 1000 for bound in LATENCY_BOUNDS_MS],
)
STALLS = Counter("stentor_edge_reported_stalls", "Times that players ran out of sound, as they say.", ["transport"])
REPORTED_STALLED = Counter("stentor_edge_reported_stalled_seconds", "Silence of stalls, as players say.", ["transport"])
REPORTED_PLAYED = Counter("stentor_edge_reported_played_seconds", "Sound played, as players say.", ["transport"])
LOOP_LAG = Gauge("stentor_edge_loop_lag_seconds", "How late the edge's own timers are, 95th percentile of a second.")
PASS = Gauge("stentor_edge_pass_seconds", "What it takes to send one step's blocks of all rooms.")
BEHIND = Gauge("stentor_edge_behind_connections_count", "Connections that have not read all they were sent.")
BLOCK_STEPS = Gauge("stentor_edge_block_steps_count", "Steps in a block: wished for, and the largest now.", ["which"])
EMERGENCIES = Counter("stentor_edge_emergencies", "Times that blocks had to grow at once.")
LADDER = Gauge("stentor_edge_ladder_step", "The ladder's step that this edge follows, 0 to 5.")
SENT = Counter("stentor_edge_sent_bytes", "Bytes that the sockets of clients took, as of the last report.")
EXHAUSTED = Counter("stentor_edge_exhausted_accepts", "Accepting stopped: no descriptors or memory.")
SHIELDED = Counter("stentor_edge_shielded_requests", "Requests that an address was over its budget with.", ["what"])
CUT_ARRIVALS = Counter("stentor_edge_cut_arrivals", "Connections cut as they were accepted, before TLS.", ["why"])
CHALLENGES = Counter("stentor_edge_challenges", "Challenges made, solved, and answered wrongly.", ["outcome"])
TIGHTNESS = Gauge("stentor_edge_budget_tightness_count", "By how much budgets are smaller than they are set.")
DOOR_ANSWERS = Counter("stentor_edge_door_answers", "Those who asked for a ticket of a room with a door.", ["outcome"])
DOOR_ENTRIES = Counter("stentor_edge_door_entries", "Those who came to a room with a door to listen.", ["verdict"])
DOOR_INSIDE = Gauge("stentor_edge_door_inside_count", "Places that listeners at this edge hold in rooms with a door.")
DOOR_WAITING = Gauge("stentor_edge_door_waiting_count", "Those in line, at all edges, as the leader counts them.")
DOOR_LEADS = Gauge("stentor_edge_door_leads", "1 while this edge leads the doors.")
DOOR_TAKEOVERS = Counter("stentor_edge_door_takeovers", "Times that this edge became the leader of the doors.")
