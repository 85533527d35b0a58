"""What holds for the whole installation, as this edge knows it: control's document (room/installation)."""

from collections.abc import Callable

from pydantic import ValidationError

from stentor.bus.port import Document, Documents
from stentor.edge.metrics import DROPPED
from stentor.room.installation import KEY, InstallationDocument
from stentor.telemetry import logger

BUCKET = "installation"

log = logger("edge")


class Installation:
    """Holds the newest document; before the first one, and once it is gone, what holds where nothing was said.

    ``said`` is called with every document of the bucket, as edges below want to hear them.
    """

    def __init__(self, documents: Documents) -> None:
        self.document = InstallationDocument()
        self.synced = False
        self._documents = documents
        self.said: Callable[[Document], None] = _unsaid
        self._callbacks: list[Callable[[InstallationDocument], None]] = []

    def changed(self, callback: Callable[[InstallationDocument], None]) -> None:
        """Have a function called with every new document, at once with the present one; it must not raise or block."""
        self._callbacks.append(callback)
        callback(self.document)

    async def watch(self) -> None:
        """Follow the document for ever; while the bus is away the last one holds."""
        async for document in self._documents.watch(BUCKET):
            if document is None:
                self.synced = True
            else:
                self.said(document)
                if document.key == KEY:
                    self._take(document)

    def _take(self, document: Document) -> None:
        try:
            said = InstallationDocument.model_validate_json(document.value) if document.value else None
        except ValidationError:
            DROPPED.labels("garbled").inc()
            return
        self.document = said or InstallationDocument()
        log.info("installation_changed", ladder=self.document.ladder.step, guarded=self.document.door.guarded)
        for callback in self._callbacks:
            callback(self.document)


def _unsaid(_document: Document) -> None:
    """Tell nobody."""
