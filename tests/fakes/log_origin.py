"""An origin that only claims and writes, as a process that can be killed: argv is url, token, spool directory, zero.

It writes chunks of three renditions much faster than time and prints ``epoch rendition step`` for each that is
spooled. A line on stdin ends it cleanly; a later epoch ends it with code 3.
"""

import asyncio
import itertools
import sys
from pathlib import Path

from stentor.bus.nats import NatsBus
from stentor.bus.port import chunk_subject
from stentor.bus.wire import encode_chunk
from stentor.clock import SystemClock, UnixNs
from stentor.errors import Fenced
from stentor.media.chunk import Chunk
from stentor.media.grid import STEP_SAMPLES, Samples, Step
from stentor.media.rendition import RenditionName
from stentor.origin.log_writer import LogWriter
from stentor.origin.tenure import Tenure, take_over


async def write_chunks(tenure: Tenure, writer: LogWriter, stopped: asyncio.Event) -> None:
    for step in itertools.count(tenure.first_step):
        for name in RenditionName:
            chunk = Chunk(
                "demo",
                name,
                tenure.epoch,
                tenure.discontinuity,
                Step(step),
                Samples(step * STEP_SAMPLES),
                (b"unit" * 500,),
                tenure.epoch.to_bytes(4, "big") * 8,
            )
            message_id = f"demo.{tenure.epoch}.{name}.{step}"
            if not writer.write(chunk_subject("demo", name), message_id, encode_chunk(chunk)):
                return
            if writer._line[-1][0].offset is not None:
                sys.stdout.write(f"{tenure.epoch} {name} {step}\n")
                sys.stdout.flush()
        await asyncio.sleep(0.002)
        if stopped.is_set():
            assert await writer.drain(10)
            return


async def main() -> None:
    url, token, directory, zero = sys.argv[1:]
    clock = SystemClock()
    stopped = asyncio.Event()
    async with NatsBus.connect(url, clock, role="origin", credentials={"token": token}) as bus:
        asyncio.get_running_loop().add_reader(sys.stdin, stopped.set)
        tenure = await take_over(bus, clock, Path(directory), "demo", b"{}", zero_ns=UnixNs(int(zero)))
        writer = LogWriter(bus, clock, tenure.fence, tenure.spool)
        async with asyncio.TaskGroup() as group:
            group.create_task(writer.run())
            await write_chunks(tenure, writer, stopped)


if __name__ == "__main__":
    try:
        asyncio.run(main())
    except* Fenced:
        sys.exit(3)
