"""A room's claim on the processor: its tick comes each 20 ms, whatever else the machine has to do."""

import os
from pathlib import Path

_LEAST = 1


def go_first(tasks: Path = Path("/proc/self/task")) -> bool:
    """Run all threads of this process before those of everybody else that is not real-time (sched(7), SCHED_RR).

    Threads that begin later inherit it. Only for work that is short: what takes long would keep other rooms waiting,
    who get their turn after 100 ms. A room takes a small part of a core, and Linux leaves others 5 % of each core
    whatever happens. It is allowed to root, with CAP_SYS_NICE, or with a limit of RLIMIT_RTPRIO above 0; false: it is
    not, and the room shares the processor by its weight.
    """
    try:
        for task in tasks.iterdir():
            # All of them: one that is not would hold the interpreter's lock for as long as others keep it waiting.
            os.sched_setscheduler(int(task.name), os.SCHED_RR, os.sched_param(_LEAST))
    except (AttributeError, OSError):  # not Linux, not allowed, or a thread has just ended
        return False
    return True
