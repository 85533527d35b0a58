"""What an edge counts."""

from prometheus_client import Counter, Gauge

LISTENERS = Gauge("stentor_edge_listeners_count", "Listeners now.", ["transport"])
CONNECTIONS = Gauge("stentor_edge_connections_count", "Open connections now.")
REQUESTS = Counter("stentor_edge_requests", "Requests answered or taken on.", ["method"])
FAILURES = Counter("stentor_edge_failures", "Requests that ended in an error nobody expected.")
CUT = Counter("stentor_edge_cut_listeners", "Listeners cut because they did not read.", ["transport"])
CHUNKS = Counter("stentor_edge_chunks", "Chunks given out to listeners.", ["rendition"])
DROPPED = Counter("stentor_edge_dropped_chunks", "Chunks not given out: stale epoch, repeated or garbled.", ["why"])
FILLED = Counter("stentor_edge_filled_chunks", "Chunks found again after a gap.", ["source"])
MISSING = Counter("stentor_edge_missing_chunks", "Steps that were found nowhere.")
HELD = Gauge("stentor_edge_held_requests_count", "Requests that wait for a part.")
