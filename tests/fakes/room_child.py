"""Stands for a room's process in tests of the host: argv is a journal; each thing it does is a JSON line there.

Rooms named ``crash…`` end at once with 1, ``refuse-PORT`` with 2 when given that port, ``stuck…`` ignore SIGTERM;
SIGUSR1 ends the room (0), SIGUSR2 fences it (3).
"""

import json
import os
import signal
import sys
import time


def note(**fields: object) -> None:
    line = json.dumps({"pid": os.getpid(), "at_ns": time.monotonic_ns(), **fields}) + "\n"
    file = os.open(sys.argv[1], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(file, line.encode())
    os.close(file)


def say(**line: object) -> None:
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


def leave(code: int, why: str) -> None:
    note(did=why)
    os._exit(code)


signal.signal(signal.SIGTERM, lambda *_: leave(0, "terminated"))
signal.signal(signal.SIGUSR1, lambda *_: leave(0, "ended"))
signal.signal(signal.SIGUSR2, lambda *_: leave(3, "fenced"))
note(did="warm")
say(ready=True)
line = sys.stdin.readline()
if not line:
    leave(0, "orphaned")
given = json.loads(line)
note(did="assigned", **given)
if given["room"].startswith("crash"):
    leave(1, "crashed")
if given["room"] == f"refuse-{given['udp_port']}":
    leave(2, "refused")
if given["room"].startswith("stuck"):
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
say(serving=given["room"], epoch=1)
while sys.stdin.readline():
    pass
leave(0, "orphaned")
