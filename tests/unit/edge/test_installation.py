"""What an edge knows of the installation: the newest document, said to whoever asked, and garbage left aside."""

import asyncio

from stentor.bus.memory import MemoryBus
from stentor.clock import SystemClock
from stentor.edge.installation import BUCKET, Installation
from stentor.room.documents import Dials
from stentor.room.installation import KEY, InstallationDocument, LadderWord
from tests.fakes.buses import until


async def test_the_newest_document_holds_and_is_said_and_what_cannot_be_read_changes_nothing() -> None:
    bus = MemoryBus(SystemClock())
    installation = Installation(bus)
    said: list[InstallationDocument] = []
    installation.changed(said.append)
    assert said == [InstallationDocument()]
    async with asyncio.TaskGroup() as tasks:
        watching = tasks.create_task(installation.watch())
        crowded = InstallationDocument(door=Dials(cap=500), ladder=LadderWord(step=2))
        await bus.put(BUCKET, KEY, crowded.to_bytes())
        await until(lambda: installation.document == crowded, "the document is not taken")
        await bus.put(BUCKET, KEY, b'{"door": 7}')
        await bus.put(BUCKET, "another", InstallationDocument().to_bytes())
        await bus.delete(BUCKET, KEY)
        await until(lambda: len(said) == 3, "the deletion is not said")
        assert said == [InstallationDocument(), crowded, InstallationDocument()]
        watching.cancel()
