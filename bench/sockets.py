"""What the kernel holds for the clients of a server: ``python -m bench.sockets PORT`` says it as JSON.

A program of its own, which imports next to nothing: with thousands of sockets the look takes a while, and a bench has
other things to do in time.
"""

import json
import sys
from pathlib import Path

_UNREAD_BYTES = 4_096
_LISTENING, _TIME_WAIT = "0A", "06"


def sockets(port: int) -> tuple[int, set[str]]:
    """Return how many sockets a server's kernel holds at a port, and for whom it keeps 4 kB or more unread.

    By /proc/net/tcp at the server: who never reads does not even see a reset that comes behind a closed window.
    """
    held, unread = 0, set()
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        _, here, there, state, queues = line.split(maxsplit=5)[:5]
        if not here.endswith(f":{port:04X}") or state in {_LISTENING, _TIME_WAIT}:
            continue
        held += 1
        if int(queues.split(":")[0], 16) >= _UNREAD_BYTES:
            unread.add(there)
    return held, unread


if __name__ == "__main__":
    counted, who = sockets(int(sys.argv[1]))
    print(json.dumps([counted, sorted(who)]))
