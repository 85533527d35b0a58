"""LL-HLS: 10,000 blocked reloads released together, parts beside nginx's static files, and what a cache asks upstream.

- Release: 10,000 connections ask for the playlist of a part that is not there yet, as players do (with ``_HLS_skip``);
  the clock runs from the moment at which the origin has put the part's last chunk on the bus, to the last byte of each
  answer. nchan's 10,000 long-polls wait for a message of the same size, from the moment at which it is published.
  Both servers run on one core, the crowd and the origin on the other, and take turns.
- Parts: wrk on 64 kept connections for the newest part (2 kB), against nginx and a file of 2 kB.
- Cache: 200 players behind Varnish with deploy/varnish.vcl; requests upstream for each distinct playlist of a part,
  part and initialisation, by Varnish's own log.
"""

import asyncio
import re
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field

from bench.crowd import Crowd, crowd
from bench.peers import Nginx, Peer, fetched, nginx, varnish
from bench.report import Goal, arguments, machine, middle, report, rounded, shown
from bench.room import run
from bench.site import ROOM, Site, site
from stentor.media.rendition import RenditionName
from tests.fakes.hls_player import play

GOALS = [
    Goal("release_p99_ms", "part on the bus to the answer of a blocked reload, 99th percentile", "ms", at_most=500),
    Goal("vs_nchan", "the same over nchan's long-poll", "", at_most=1.2),
    Goal("rps_vs_nginx", "requests a second of 2 kB parts, over nginx's of a file", "", at_least=0.5),
    Goal("upstream_per_object", "requests upstream for each object behind Varnish", "", at_most=1.02),
]
SERVER_CORE, CROWD_CORE = 0, 1
PLAYERS = 200
PLAYLIST = f"/r/{ROOM}/opus.m3u8"
AHEAD_PARTS = 5
"""The part that is asked for is due in 2.0 to 2.4 s: by then all have asked."""
_OBJECT = re.compile(r"\.m4s|init\.mp4|_HLS_msn")


@dataclass
class Release:
    """One round: milliseconds from the first possible moment to the first answer's end, and the 99th percentile."""

    first_ms: float
    p99_ms: float


@dataclass
class Found:
    """What all rounds gave."""

    stentor: list[Release] = field(default_factory=list)
    nchan: list[Release] = field(default_factory=list)
    parts_per_s: list[float] = field(default_factory=list)
    files_per_s: list[float] = field(default_factory=list)
    upstream: Counter[str] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)
    answer_bytes: int = 0


async def newest(place: Site) -> tuple[int, int, str]:
    """Return segment, part and URI of the newest part."""
    _, body = await fetched("127.0.0.1", place.port, "GET", PLAYLIST)
    uri = re.findall(r'^#EXT-X-PART:.*URI="([^"]+)"', body.decode(), re.MULTILINE)[-1]
    segment, part = re.findall(r"/(\d+)\.(\d+)\.m4s", uri)[0]
    return int(segment), int(part), uri


async def ask_all(players: Crowd, path: str) -> None:
    """Have all send a GET. Raises AssertionError when some are gone."""
    await players.ask(path)
    open_now = (await players.status())["open"]
    if open_now != players.count:
        raise AssertionError(f"{players.count - open_now} of {players.count} connections were gone")


async def release_ours(place: Site, sent_ns: dict[int, int], players: Crowd) -> Release:
    """Have all ask for a part to come, and time the answers."""
    segment, part, _ = await newest(place)
    position = segment * 4 + part + AHEAD_PARTS
    await ask_all(players, f"{PLAYLIST}?_HLS_msn={position // 4}&_HLS_part={position % 4}&_HLS_skip=YES")
    said = await players.answered(10.0)
    if said["bad_status"]:
        raise AssertionError(f"not all were answered well: {said.brief()}")
    possible_ns = sent_ns[2 * position + 1]
    return timed(possible_ns, said.parts, said.spread("after_first_us").at(0.99))


async def release_nchan(peer: Nginx, players: Crowd, message: bytes) -> Release:
    """Have all long-poll nchan, publish, and time the answers."""
    await ask_all(players, peer.subscribe)
    await asyncio.sleep(2.0)  # all are waiting
    async with peer.publisher() as publisher:
        possible_ns = time.time_ns()
        await publisher.publish(message)
    said = await players.answered(10.0)
    return timed(possible_ns, said.parts, said.spread("after_first_us").at(0.99))


def timed(possible_ns: int, parts: list[dict[str, int]], p99_after_first_us: int) -> Release:
    """Return a round of one crowd process."""
    (only,) = parts
    first_ms = (only["first_ns"] - possible_ns) / 1e6
    return Release(round(first_ms, 2), round(first_ms + p99_after_first_us / 1e3, 2))


async def rate(port: int, path: str, seconds: float) -> float:
    """Return the requests a second that wrk gets answered on 64 kept connections."""
    url = f"http://127.0.0.1:{port}{path}"
    command = ["taskset", "-c", str(CROWD_CORE), "wrk", "-t", "1", "-c", "64", "-d", f"{seconds:.0f}s", url]
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    said = (await process.communicate())[0].decode()
    if "Non-2xx" in said or "Socket errors" in said:
        raise AssertionError(f"not every request was answered: {said}")
    return float(re.findall(r"Requests/sec:\s+([\d.]+)", said)[0])


@asynccontextmanager
async def backend_requests(cache: Peer) -> AsyncIterator[Counter[str]]:
    """Count what Varnish asks upstream, by address; complete when the context has ended."""
    command = ["varnishncsa", "-b", "-n", str(cache.folder / "n"), "-F", "%U%q"]
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    asked: Counter[str] = Counter()
    try:
        await asyncio.sleep(1.0)  # it reads the log from now on
        yield asked
        await asyncio.sleep(1.0)
    finally:
        process.terminate()
        said = (await process.communicate())[0].decode()
    asked.update(line for line in said.splitlines() if _OBJECT.search(line))


async def behind_cache(place: Site, seconds: float, found: Found) -> None:
    """Let 200 players, each with a ticket of its own, play through Varnish."""
    async with varnish(CROWD_CORE, upstream=f"127.0.0.1:{place.port}") as cache, backend_requests(cache) as asked:
        until = time.monotonic() + seconds
        async with asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(play(f"{cache.url}/r/{ROOM}", until, query=f"ticket=t{index}"))
                for index in range(PLAYERS)
            ]
        found.problems = [problem for task in tasks for problem in task.result().problems]
        least = min(len(task.result().at_s) for task in tasks)
        if least < seconds:  # two a second come
            found.problems.append(f"a player saw {least} parts in {seconds:.0f} s")
    found.upstream = asked


async def measure(count: int, rounds: int, seconds: float, note: Callable[[str], None]) -> Found:
    """Return what all rounds gave."""
    found, sent_ns = Found(), dict[int, int]()
    async with AsyncExitStack() as stack:
        renditions = (RenditionName.OPUS, RenditionName.AAC)
        place = await stack.enter_async_context(site(cores=[SERVER_CORE], rest=CROWD_CORE, renditions=renditions))

        def note_sent(step: int, _message: bytes) -> None:
            sent_ns.setdefault(step, time.time_ns())  # Opus goes first

        place.origin.sent.append(note_sent)
        peer = await stack.enter_async_context(nginx(SERVER_CORE, nchan=True))
        await asyncio.sleep(4.0)  # there is a segment
        segment, part, _ = await newest(place)
        asked = f"{PLAYLIST}?_HLS_msn={segment}&_HLS_part={part}&_HLS_skip=YES"
        message = (await fetched("127.0.0.1", place.port, "GET", asked))[1]
        found.answer_bytes = len(message)
        for number in range(rounds):
            async with crowd("ask", place.port, count, core=CROWD_CORE) as players:
                await players.arrived()
                found.stentor.append(await release_ours(place, sent_ns, players))
            async with crowd("ask", peer.port, count, core=CROWD_CORE) as players:
                await players.arrived()
                found.nchan.append(await release_nchan(peer, players, message))
            uri = (await newest(place))[2]
            found.parts_per_s.append(await rate(place.port, f"/r/{ROOM}/{uri}", seconds))
            found.files_per_s.append(await rate(peer.port, peer.file, seconds))
            note(
                f"round {number + 1}: ours {found.stentor[-1]}, nchan {found.nchan[-1]}, "
                f"{found.parts_per_s[-1]:.0f} parts and {found.files_per_s[-1]:.0f} files a second"
            )
        await behind_cache(place, 5 * seconds, found)
    return found


async def main() -> bool:
    """Measure and report."""
    options = arguments(__doc__.splitlines()[0] if __doc__ else "").parse_args()
    count, rounds, seconds = (1_000, 1, 2.0) if options.quick else (10_000, 5, 4.0)
    before = machine()
    found = await measure(count, rounds, seconds, lambda line: print(f"  {line}", flush=True))
    if found.problems:
        raise SystemExit(f"bench.hls: players had trouble: {found.problems[:5]}")
    ours, nchan = [each.p99_ms for each in found.stentor], [each.p99_ms for each in found.nchan]
    parts, files = found.parts_per_s, found.files_per_s
    figures = {
        "release_p99_ms": middle(ours),
        "vs_nchan": middle([a / b for a, b in zip(ours, nchan, strict=True)]),
        "rps_vs_nginx": middle([a / b for a, b in zip(parts, files, strict=True)]),
        "upstream_per_object": rounded(found.upstream.total() / len(found.upstream)),
    }
    notes = [
        f"{count:,} waiting, answers of {found.answer_bytes:,} bytes, {rounds} rounds; medians, least and most",
        f"ours: first answer after {shown([each.first_ms for each in found.stentor])} ms, p99 {shown(ours)} ms",
        f"nchan: first answer after {shown([each.first_ms for each in found.nchan])} ms, p99 {shown(nchan)} ms",
        f"parts {shown(parts)} a second, nginx's file {shown(files)} a second",
        f"Varnish: {PLAYERS} players, {found.upstream.total():,} requests upstream for {len(found.upstream):,} "
        f"objects; asked most often: {found.upstream.most_common(2)}",
        "mouth to ear by LL-HLS: bench.latency",
    ]
    return report("hls", GOALS, figures, path=options.json, before=before, notes=notes, detail=vars(found))


if __name__ == "__main__":
    sys.exit(0 if run(main(), limit_s=360) else 1)
