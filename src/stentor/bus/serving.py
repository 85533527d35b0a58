"""Requests being answered: each in its own task, at most 64 at a time, none outliving its server."""

import asyncio
from collections.abc import Awaitable, Callable
from types import TracebackType

from stentor.bus.port import Answer
from stentor.telemetry import logger

_AT_A_TIME = 64

log = logger("bus")


class Requests:
    """The requests that one ``serve`` is answering.

    An async context: leaving it cancels the answers under way. Its owner is the bus driver's ``serve``.
    """

    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        self._group = asyncio.TaskGroup()
        self._running: set[asyncio.Task[None]] = set()
        self._slots = asyncio.Semaphore(_AT_A_TIME)

    def take(self, subject: str, payload: bytes, reply: Callable[[bytes], Awaitable[None]]) -> None:
        """Answer a request soon; ``reply`` is awaited with the answer, or never when it fails."""
        task = self._group.create_task(self._run(subject, payload, reply))
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def _run(self, subject: str, payload: bytes, reply: Callable[[bytes], Awaitable[None]]) -> None:
        async with self._slots:
            try:
                await reply(await self._answer(subject, payload))
            except Exception:  # one bad request must not end the server; the asker gets no reply
                log.exception("request_failed", subject=subject)

    async def __aenter__(self) -> "Requests":
        """Begin to take requests."""
        await self._group.__aenter__()
        return self

    async def __aexit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        """Cancel what is under way; an error of the body goes on as it is, not as an ExceptionGroup."""
        for task in self._running:
            task.cancel()
        await self._group.__aexit__(None, None, None)
