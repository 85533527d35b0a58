"""The parts of the bus that an edge never asks: an edge behind an edge has no log and writes no documents."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from typing import NoReturn

from stentor.bus.port import Answer, Document, Fence, Record
from stentor.errors import BusUnavailable


class Absent:
    """Answers all of them with BusUnavailable: nothing is filled from a log here, the edge above has done that."""

    def serve(self, subject: str, _answer: Answer) -> AbstractAsyncContextManager[None]:
        """Refuse."""
        self._refuse(f"answers on {subject}")

    async def claim(self, room: str, _note: bytes) -> Fence:
        """Refuse."""
        self._refuse(f"claim of {room}")

    async def append(self, _fence: Fence, subject: str, _message_id: str, _payload: bytes) -> int:
        """Refuse."""
        self._refuse(f"log of {subject}")

    async def last(self, subject: str) -> Record | None:
        """Refuse."""
        self._refuse(f"log of {subject}")

    async def read(self, subject: str, *, after: int, limit: int) -> list[Record]:  # noqa: ARG002 - the port's names
        """Refuse."""
        self._refuse(f"log of {subject}")

    def follow(self, subject: str, *, after: int) -> AsyncIterator[Record]:  # noqa: ARG002 - the port's names
        """Refuse."""
        self._refuse(f"log of {subject}")

    async def purge(self, room: str) -> None:
        """Refuse."""
        self._refuse(f"log of {room}")

    async def get(self, bucket: str, key: str) -> Document | None:
        """Refuse."""
        self._refuse(f"reading of {bucket}/{key}")

    async def put(self, bucket: str, key: str, _value: bytes) -> int:
        """Refuse."""
        self._refuse(f"writing of {bucket}/{key}")

    async def create(self, bucket: str, key: str, _value: bytes) -> int | None:
        """Refuse."""
        self._refuse(f"writing of {bucket}/{key}")

    async def update(self, bucket: str, key: str, _value: bytes, *, revision: int) -> int | None:  # noqa: ARG002 - the port's names
        """Refuse."""
        self._refuse(f"writing of {bucket}/{key}")

    async def delete(self, bucket: str, key: str) -> None:
        """Refuse."""
        self._refuse(f"writing of {bucket}/{key}")

    @staticmethod
    def _refuse(what: str) -> NoReturn:
        raise BusUnavailable(f"An edge behind an edge has no {what}.")
