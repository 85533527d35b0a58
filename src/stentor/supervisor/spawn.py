"""Processes that die with their parent, whatever kills it.

Linux sends a child its parent-death signal when the *thread* that forked it ends, so only the main thread may spawn.
A child has a session of its own: Ctrl-C reaches the parent alone, which stops its children in order.
"""

import asyncio
import ctypes
import os
import signal
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress

PARENT_VARIABLE = "STENTOR_PARENT"
_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


def stentor_command(*arguments: str) -> tuple[str, ...]:
    """Return the command line of our own program; secrets never stand in it."""
    return (sys.executable, "-m", "stentor", *arguments)


async def spawn(  # noqa: PLR0913 - what a process begins with
    command: Sequence[str],
    environment: Mapping[str, str],
    *,
    stdin: int = asyncio.subprocess.DEVNULL,
    stdout: int | None = None,
    stderr: int | None = None,
    keep: Sequence[int] = (),
    nice: int = 0,
) -> asyncio.subprocess.Process:
    """Start a process that is killed when this one dies.

    Args:
        command: program and arguments.
        environment: added to our own environment; an empty value takes the variable away.
        stdin: ``asyncio.subprocess.PIPE`` to write to it.
        stdout: ``asyncio.subprocess.PIPE`` to read from it, else it speaks on our stdout.
        stderr: the same for stderr.
        keep: descriptors that it inherits, under the same numbers.
        nice: by how much its share of a busy core is smaller than ours (nice(2)).

    Raises:
        OSError: the program cannot be started.
    """
    if threading.current_thread() is not threading.main_thread():
        raise RuntimeError("Only the main thread may spawn: a child dies with the thread that forked it.")
    merged = {**os.environ, **environment, PARENT_VARIABLE: str(os.getpid())}
    merged.pop("STENTOR_CONFIG", None)  # the environment carries every setting already
    return await asyncio.create_subprocess_exec(
        *command,
        env={name: value for name, value in merged.items() if value},
        stdin=stdin,
        stdout=stdout,
        stderr=stderr,
        start_new_session=True,
        pass_fds=tuple(keep),
        preexec_fn=_before_exec(os.getpid(), nice),
    )


def _before_exec(parent: int, nice: int) -> Callable[[], None]:
    def in_child() -> None:
        if _libc is not None:
            _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
            if os.getppid() != parent:  # it died before we asked
                os._exit(1)
        if nice:
            os.nice(nice)
            # Each session of ours is a group of its own to Linux' scheduler (sched(7), "The autogroup feature"), and
            # nice counts within a group alone: the group needs it as well.
            with suppress(OSError), open("/proc/self/autogroup", "w") as group:  # noqa: PTH123 - nothing but calls here
                group.write(str(nice))

    return in_child


def leave_if_orphaned() -> None:
    """End this process when the parent that started it is gone; called once, as early as possible."""
    expected = os.environ.pop(PARENT_VARIABLE, None)
    if expected is not None and os.getppid() != int(expected):
        sys.exit(1)


def has_parent() -> bool:
    """Tell whether a Stentor parent started this process (before ``leave_if_orphaned`` has looked)."""
    return PARENT_VARIABLE in os.environ
