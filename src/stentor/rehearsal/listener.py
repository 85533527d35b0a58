"""One listener of a rehearsal: page, state, ticket, the line, and then the push or LL-HLS, as a browser does it."""

import gzip
import json
import re
import ssl
from collections.abc import Callable
from functools import partial
from random import Random
from typing import Any, Protocol

from stentor.errors import MediaError
from stentor.rehearsal.engine import Engine, Wire
from stentor.rehearsal.plan import Plan
from stentor.rehearsal.sound import MS, Ear
from stentor.rehearsal.tally import Tally
from stentor.rehearsal.wire import Answer, AnswerReader, request
from stentor.room.permits import HEADER

_ASSET = re.compile(rb"""(?:src|href)=["'](/assets/[^"']+)["']""")
_BEACON_S = (27.0, 33.0)
_BACKOFF_S = (0.3, 5.0)
_AGAIN_S = 2.0
_ANSWER_S = 30.0
_MAX_RETRY_S = 120.0
_GZIP = {"Accept-Encoding": "gzip"}

Then = Callable[[Answer], None]


class Player(Protocol):
    """How an admitted listener listens."""

    ear: Ear
    transport: str

    def begin(self, ticket: str) -> None:
        """Connect and play."""
        ...

    def cut(self) -> None:
        """Break the connection, as a network does that is gone."""
        ...


class Crowd:
    """What the listeners of one worker share."""

    def __init__(self, plan: Plan, engine: Engine, tally: Tally, random: Random) -> None:
        self.plan = plan
        self.engine = engine
        self.tally = tally
        self.random = random
        self.base = f"/r/{plan.room}"
        self.retry_spread_s = 3.0
        self.over = False
        self._assets: list[str] | None = None

    def assets_of(self, page: Answer) -> list[str]:
        """Return the addresses of the files that a page names; it is the same page for everybody."""
        if self._assets is None and page.status == 200:
            body = gzip.decompress(page.body) if page.headers.get("content-encoding") == "gzip" else page.body
            self._assets = [found.decode() for found in dict.fromkeys(_ASSET.findall(body))]
        return list(self._assets or ())

    def headers(self) -> dict[str, str]:
        """Return what every request of a rehearsal says."""
        return {"User-Agent": "Stentor-Rehearsal/1", "Accept": "*/*"}


class Exchange:
    """One request after the other on a connection that is kept as long as the edge keeps it."""

    __slots__ = ("_crowd", "_fail", "_number", "_pending", "_reader", "_session", "_then", "_wire")

    def __init__(self, crowd: Crowd, fail: Callable[[str], None]) -> None:
        self._crowd = crowd
        self._fail = fail
        self._wire: Wire | None = None
        self._reader = AnswerReader()
        self._then: Then | None = None
        self._pending = b""
        self._session: ssl.SSLSession | None = None
        self._number = 0

    def ask(
        self, method: str, path: str, then: Then, *, body: bytes = b"", headers: dict[str, str] | None = None
    ) -> None:
        """Send a request; ``then`` is given the answer, or the exchange's owner is told that it failed."""
        engine = self._crowd.engine
        said = self._crowd.headers() | (headers or {})
        self._then = then
        self._pending = request(method, path, engine.target.authority, said, body)
        self._number += 1
        self._crowd.tally.sums["requests"] += 1
        if self._wire is None or self._wire.closed:
            self._reader = AnswerReader()
            self._wire = engine.open(self, self._session)
            if self._wire is None:
                engine.after(0.0, partial(self._lose, "no-socket"))
                return
        self._wire.send(self._pending)
        engine.after(_ANSWER_S, partial(self._too_late, self._number))

    def opened(self, wire: Wire) -> None:
        """Count how long connecting took; the request goes out by itself."""
        self._crowd.tally.spreads["connect_ms"].add((self._crowd.engine.now() - wire.begun_ns) / 1e6)

    def received(self, _wire: Wire, data: bytes) -> None:
        """Take bytes of the answer."""
        try:
            answer = self._reader.feed(data)
        except MediaError:
            self._lose("garbled")
            return
        if answer is None:
            return
        self._crowd.tally.sums[f"status.{answer.status}"] += 1
        then, self._then = self._then, None
        self._pending = b""
        self._number += 1
        if not answer.keeps:
            self.close()
        if then is not None:
            then(answer)

    def lost(self, wire: Wire, why: str) -> None:
        """Ask once more where an edge closed a connection that had been kept; else fail."""
        if self._wire is wire:
            kept = self._reader.received > 0 and self._pending and why in ("closed", "reset")
            if kept and self._then is not None:
                self._reader = AnswerReader()
                self._wire = self._crowd.engine.open(self, self._session)
                if self._wire is not None:
                    self._wire.send(self._pending)
                    return
            self._lose(why)

    def _too_late(self, number: int) -> None:
        if number == self._number and self._then is not None:
            self._lose("no-answer")

    def _lose(self, why: str) -> None:
        self.close()
        if self._then is not None:
            self._then = None
            self._crowd.tally.sums[f"failed.{why}"] += 1
            self._fail(why)

    def close(self) -> None:
        """Let the connection go."""
        if self._wire is not None:
            self._session = self._wire.keep_session()
            self._wire.close()
            self._wire = None


class Listener:
    """One who comes, waits in line, listens, and comes back after a break."""

    def __init__(self, crowd: Crowd, play: Callable[["Listener"], Player]) -> None:
        self.crowd = crowd
        self.ticket = ""
        self.player = play(self)
        self._exchange = Exchange(crowd, self._failed)
        self._beacons = Exchange(crowd, lambda _why: None)
        self._arrived_ns = self._admitted_ns = self._cut_ns = self._asked_ns = 0
        self._position: int | None = None
        self._promised_s: float | None = None
        self._tries = 0
        self._assets: list[str] = []
        self._waits = self.inside = self.plays = self._beacons_begun = False

    @property
    def _tally(self) -> Tally:
        return self.crowd.tally

    # Coming.

    def come(self) -> None:
        """Open the page."""
        self._arrived_ns = self.crowd.engine.now()
        self._tally.sums["arrived"] += 1
        self._page()

    def _page(self) -> None:
        self._exchange.ask("GET", self.crowd.base, self._paged, headers=_GZIP)

    def _paged(self, answer: Answer) -> None:
        if answer.status >= 500:
            self._again(self._page, "page")
            return
        if self.crowd.plan.browses:
            self._assets = self.crowd.assets_of(answer)
        self._browse()

    def _browse(self, _answer: Answer | None = None) -> None:
        if self._assets:
            self._exchange.ask("GET", self._assets.pop(), self._browse, headers=_GZIP)
        else:
            self._exchange.ask("GET", f"{self.crowd.base}/state.json", self._stated)

    def _stated(self, answer: Answer) -> None:
        if answer.status == 200:
            self._ask()
        else:
            self._again(self._browse, "state")

    # The line.

    def _ask(self) -> None:
        if self.crowd.over:
            return
        self._tally.sums["asks"] += 1
        self._asked_ns = self.crowd.engine.now()
        body = json.dumps({"ticket": self.ticket} if self.ticket else {}).encode()
        headers = {HEADER: self.crowd.plan.permit} if self.crowd.plan.permit else {}
        self._exchange.ask("POST", f"{self.crowd.base}/ticket", self._answered, body=body, headers=headers)

    def _answered(self, answer: Answer) -> None:
        now = self.crowd.engine.now()
        self._tally.spreads["ticket_ms"].add((now - self._asked_ns) / 1e6)
        try:
            said = json.loads(answer.body) if answer.status == 200 else None
        except ValueError:
            said = None
        if not isinstance(said, dict):
            self._again(self._ask, f"ticket-{answer.status}", _retry_after(answer))
            return
        self._tries = 0
        self.ticket = str(said.get("ticket") or self.ticket)
        if said.get("admitted"):
            self._admitted(now)
        else:
            self._wait(said, now)

    def _wait(self, said: dict[str, Any], now: int) -> None:
        self._set_waiting(waits=True)
        position = said.get("position")
        if isinstance(position, int):
            if self._position is not None and position > self._position:
                self._tally.sums["worse"] += 1
            self._position = position
        told = said.get("wait_s")
        if isinstance(told, list) and len(told) == 2 and self._promised_s is None:
            self._promised_s = (now - self._arrived_ns) / 1e9 + sum(map(float, told)) / 2
        after_s = min(_MAX_RETRY_S, max(0.5, float(said.get("retry_after_s") or _AGAIN_S)))
        self.crowd.engine.after(after_s, self._ask)

    def _admitted(self, now: int) -> None:
        self._set_waiting(waits=False)
        if not self._admitted_ns:
            waited_s = (now - self._arrived_ns) / 1e9
            self._tally.sums["admitted"] += 1
            self._tally.spreads["wait_s"].add(waited_s)
            if self._promised_s is not None and waited_s > 5.0:
                self._tally.estimates.add(abs(self._promised_s - waited_s) / waited_s)
        self._admitted_ns = now
        self._position = None
        self.player.begin(self.ticket)

    def _set_waiting(self, *, waits: bool) -> None:
        self._tally.gauges["waiting"] += waits - self._waits
        self._waits = waits

    # Listening.

    def connected(self) -> None:
        """Note that the player holds a place now."""
        self._tally.gauges["inside"] += not self.inside
        self.inside = True
        self._tries = 0

    def heard(self) -> None:
        """Note sound; the first after the beginning or a break is counted."""
        if self.plays:
            return
        self.plays = True
        self._tally.gauges["playing"] += 1
        now = self.crowd.engine.now()
        if self._cut_ns:
            self._tally.sums["came_back"] += 1
            self._tally.spreads["back_ms"].add((now - self._cut_ns) / 1e6)
            self._cut_ns = 0
        elif not self._beacons_begun:
            self._tally.sums["played"] += 1
            self._tally.spreads["join_ms"].add((now - self._admitted_ns) / 1e6)
        if not self._beacons_begun:
            self._beacons_begun = True
            self.beacon(join_ms=round((now - self._admitted_ns) / 1e6))
        self._exchange.close()

    def silent(self) -> None:
        """Note that the player's connection has gone."""
        self._sum_up()
        self.player.ear.stop()
        self._tally.gauges["inside"] -= self.inside
        self._tally.gauges["playing"] -= self.plays
        self.inside = self.plays = False

    def return_in(self, seconds: float) -> None:
        """Come back with the ticket after a while: it is the way in without queueing."""
        self.crowd.engine.after(seconds, self._return)

    def _return(self) -> None:
        if not self.crowd.over and not self.inside:
            self.player.begin(self.ticket)

    def ask_anew(self, seconds: float) -> None:
        """Ask for a place again after a while: the door sent us away."""
        self.crowd.engine.after(seconds, self._ask)

    def cut(self) -> None:
        """Break off, as when a network fails, if there is anything to break."""
        if self.plays:
            self._cut_ns = self.crowd.engine.now()
            self._tally.sums["cut"] += 1
            self.player.cut()
            self.silent()
            self.return_in(self.crowd.random.uniform(0.0, self.crowd.retry_spread_s))

    def beacon(self, join_ms: int | None = None) -> None:
        """Tell the edge how it is, and again in half a minute."""
        if self.crowd.over:
            return
        self.crowd.engine.after(self.crowd.random.uniform(*_BEACON_S), self.beacon)
        if not self.plays:
            return
        stalls, stall_ms, played_ms = self._sum_up()
        said: dict[str, object] = {
            "player": f"{id(self) & 0xFFFFFFFFFFFFFFFF:016x}",
            "ticket": self.ticket,
            "transport": self.player.transport,
            "stalls": min(1_000, stalls),
            "stall_ms": min(600_000, stall_ms),
            "played_ms": min(600_000, played_ms),
            "join_ms": join_ms,
        }
        headers = {HEADER: self.crowd.plan.permit, "Connection": "close"}
        path = f"{self.crowd.base}/beacon"
        self._beacons.ask("POST", path, lambda _answer: None, body=json.dumps(said).encode(), headers=headers)

    def _sum_up(self) -> tuple[int, int, int]:
        """Count what was heard since the last look; return (stalls, stalled ms, played ms)."""
        ear = self.player.ear
        ear.listen(self.crowd.engine.now())
        said = ear.stalls, ear.stall_ns // MS, ear.played_ns // MS
        for name, value in zip(("stalls", "stall_ms", "played_ms"), said, strict=True):
            self._tally.sums[name] += value
        ear.stalls = ear.stall_ns = ear.played_ns = 0
        return said

    def look(self) -> None:
        """Count what was heard up to now."""
        if self.plays:
            self._sum_up()

    def leave(self) -> None:
        """Go for good."""
        self.player.cut()
        self.silent()
        self._exchange.close()
        self._beacons.close()

    # When something fails.

    def _failed(self, why: str) -> None:
        self._again(self._ask if self.ticket else self._page, why)

    def _again(self, what: Callable[[], None], why: str, after_s: float | None = None) -> None:
        """Try once more after a while, as a page does: longer each time, by chance."""
        if self.crowd.over:
            return
        self._tries += 1
        self._tally.sums[f"again.{why}"] += 1
        least, most = _BACKOFF_S
        wait_s = min(most, least * 2**self._tries)
        self.crowd.engine.after(after_s or self.crowd.random.uniform(wait_s / 2, wait_s), what)


def _retry_after(answer: Answer) -> float | None:
    text = answer.headers.get("retry-after", "")
    return float(text) if text.isdigit() else None
