"""The shield of an edge: who may connect, how often an address may ask, and who is asked for a proof of work.

    accept → ``admit``     lists, connections and heads of an address at a time; only what is absurd is cut, before TLS
    request → ``request``  over budget: 429 with Retry-After, a page for people where a page was asked for
    ticket → ``ticket``    over budget, or when the meter or an operator says so: a challenge instead of a ticket

Thousands share an address behind a carrier's translator, so an address over its budget is challenged or asked to wait,
not kept out; and whoever listens already is never touched. While an edge is busy with requests, budgets shrink, so that
whoever asks most is the first to wait. The order of steps, figures and limits: docs/shield.md.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from stentor.clock import NS_PER_S, Clock, MonotonicNs
from stentor.edge.addresses import Network, networks, wide_network
from stentor.edge.buckets import Ask, Buckets, NetworkSet, Rates, Source, Standing, Visit
from stentor.edge.challenge import Challenges
from stentor.edge.http import NO_STORE, Request, Response, problem
from stentor.edge.meter import REPORT_S, Meter
from stentor.edge.metrics import CHALLENGES, CUT_ARRIVALS, SHIELDED, TIGHTNESS
from stentor.edge.reactor import Line
from stentor.edge.refusal import reads_pages
from stentor.errors import RequestError
from stentor.room.crowd_meter import LISTENED_S, Did, MeterReport
from stentor.room.installation import Challenge, InstallationDocument
from stentor.telemetry import RateLimitedLog, logger

TIGHTEST = 16
_LOOSEN_AFTER = 5
_MANY_PER_S = 1_000
_TIDY_S = 60
_VOUCHED_NS = 600 * NS_PER_S
_PLAYER_NS = LISTENED_S * NS_PER_S
_SPARE = 64
"""So many connections an address may have however few descriptors are left."""
_FAR_TOO_MANY = 4.0
_AGENT_CHARS = 100
_ROOM_CHARS = 64
_RETRY_S = 10
_DENIED_SAYS = "This server does not answer your network. Ask whoever runs it why."
# As plain numbers: on the way of every request, members of enums cost more than what is done with them.
_ASKED, _PAGE, _LISTENED = int(Did.ASKED), int(Did.ASKED | Did.PAGE), int(Did.LISTENED)
_DID = {
    word: int(Did.ASKED | bit)
    for word, bit in (("state.json", Did.STATE), ("ticket", Did.TICKET), ("beacon", Did.BEACONED))
}
_ALLOWED, _DENIED_ONE, _FRONT = Standing.ALLOWED, Standing.DENIED, Standing.FRONT
_CONNECTION, _HANDSHAKE, _REQUEST, _TICKET, _PAGES, _INSIST, _MEDIA = Ask

log = logger("edge")


class TooManyRequestsError(RequestError):
    """An address has asked for more than its budget."""

    status = 429
    slug = "too-many-requests"


class DeniedError(RequestError):
    """The address is on the installation's list of those that are not answered."""

    status = 403
    slug = "denied"


@dataclass(frozen=True, slots=True)
class ShieldSettings:
    """``allow`` and ``deny`` hold besides what the installation's document says; ``fronts`` are trusted proxies."""

    rates: Rates = Rates()
    allow: tuple[Network, ...] = ()
    deny: tuple[Network, ...] = ()
    fronts: tuple[Network, ...] = ()


class Shield:
    """The shield of one edge. ``key``: the tickets' secret."""

    def __init__(self, edge: str, clock: Clock, settings: ShieldSettings, key: bytes) -> None:
        self._clock = clock
        self._settings = settings
        self._document = InstallationDocument()
        self._allow, self._deny = NetworkSet(settings.allow), NetworkSet(settings.deny)
        self._fronts = NetworkSet(settings.fronts)
        self._buckets = Buckets(settings.rates, self._standing)
        self._challenges = Challenges(key, clock)
        self.meter = Meter(edge, clock, self._buckets)
        self._vouched: dict[str, int] = {}
        self._calm_s = self._seconds = self._asked = self._turn = 0
        self._unnamed_front = RateLimitedLog(log, "front_not_named", clock, period_s=60.0)

    # Lists.

    def follow(self, document: InstallationDocument) -> None:
        """Take what holds for the installation: its lists, and when to challenge."""
        earlier, self._document = self._document, document
        if (earlier.unlimited, earlier.deny) != (document.unlimited, document.deny):
            self._allow = NetworkSet((*self._settings.allow, *_readable(document.unlimited)))
            self._deny = NetworkSet((*self._settings.deny, *_readable(document.deny)))
            self._buckets.judge(self._standing)

    def _standing(self, address: str) -> Standing:
        if address in self._fronts:
            return Standing.FRONT
        if address in self._allow or address in self._vouched:
            return Standing.ALLOWED
        return Standing.DENIED if address in self._deny else Standing.ORDINARY

    def vouch(self, address: str) -> None:
        """Do not limit an address for ten minutes from now: it has shown a permit to rehearse, and is no arrival."""
        source = self._buckets.of(address, self._clock.monotonic_ns())
        source.did |= Did.REHEARSED
        if source.standing is Standing.ORDINARY or source.name in self._vouched:
            source.standing = Standing.ALLOWED
            self._vouched[source.name] = self._clock.wall_ns() + _VOUCHED_NS

    # Accepting.

    def admit(self, address: str, free: int, *, tls: bool) -> Visit | None:
        """Return a new connection's visit, or None when it is to be cut. ``free``: descriptors that are left.

        However many connections an address may have, it never gets more than a quarter of what is left, so that one
        address alone keeps nobody out.
        """
        now = self._clock.monotonic_ns()
        source = self._buckets.of(address, now)
        source.seen = now
        if source.standing is not _ALLOWED and source.standing is not _FRONT:
            why = self._why_cut(source, free, now, tls=tls)
            if why:
                CUT_ARRIVALS.labels(why).inc()
                self.meter.cut += 1
                return None
        return Visit(source)

    def _why_cut(self, source: Source, free: int, now: MonotonicNs, *, tls: bool) -> str:
        buckets, rates = self._buckets, self._settings.rates
        if source.standing is _DENIED_ONE:
            return "denied"
        if source.open >= min(rates.open, max(_SPARE, free // 4)):
            return "connections"
        if source.heads >= min(rates.heads, max(_SPARE, free // 8)):
            return "heads"
        if not buckets.has(source, _INSIST, now):
            return "insists"
        if not buckets.take(source, _CONNECTION, now):
            return "rate"
        return "handshakes" if tls and not buckets.take(source, _HANDSHAKE, now) else ""

    # Requests.

    def request(self, line: Line, request: Request) -> Response | None:
        """Count a request for its address; return an answer where it is over its budget, or denied.

        Requests for tickets are counted by ``challenge`` alone, which those who stand in line are spared, but while
        this edge is busy.
        """
        now = self._clock.monotonic_ns()
        self.meter.requests += 1
        source = self._client(line, request, now)
        kind = _note(source, request, now)
        if source.standing is _ALLOWED or (kind is _TICKET and self.tightness == 1):
            return None
        if source.standing is _DENIED_ONE:
            request.keep_alive = False
            SHIELDED.labels("denied").inc()
            return _DENIED
        buckets = self._buckets
        if kind is _MEDIA:
            return None if buckets.take(source, _MEDIA, now) else self._refuse(source, request, now, page=False)
        if kind is _PAGES and not buckets.take(source, _PAGES, now):
            return self._refuse(source, request, now, page=True)
        if not buckets.take(source, _REQUEST, now):
            return self._refuse(source, request, now, page=reads_pages(request))
        return None

    def _client(self, line: Line, request: Request, now: MonotonicNs) -> Source:
        """Return who asks: whoever connected, or is behind the front that did; a front itself is never counted."""
        visit = line.visit
        if not isinstance(visit, Visit):
            return self._buckets.of(request.address, now)
        visit.asked()
        if visit.peer.standing is _FRONT:
            visit.client = self._buckets.of(request.address, now)
        return visit.client

    def _refuse(self, source: Source, request: Request, now: MonotonicNs, *, page: bool) -> Response:
        """Ask somebody to wait; who does not is cut, and has its next connections cut until it has calmed down."""
        self.meter.refused += 1
        source.refused += 1
        if source.network is not None:
            source.network.refused += 1
        if not self._buckets.take(source, _INSIST, now):
            request.keep_alive = False
        if "x-forwarded-for" in request.headers and source.name == request.address:
            self._unnamed_front.note("it may be a front that is not named: see --trusted-proxies")
        SHIELDED.labels("page" if page else "request").inc()
        self._turn = (self._turn + 1) % len(_WAIT)
        return _WAIT_PAGES[self._turn] if page else _WAIT[self._turn]

    # Tickets.

    def challenge(self, request: Request, room: str, solution: str | None) -> dict[str, Any] | None:
        """Return the challenge that somebody without a ticket must solve before they get one; None: give them one.

        Call it once for each request for a new ticket. Raises TooManyRequestsError where far too many are asked for.
        """
        now = self._clock.monotonic_ns()
        source = self._buckets.of(request.address, now)
        if source.standing is _ALLOWED:
            return None
        if source.standing is _DENIED_ONE:
            raise DeniedError(_DENIED_SAYS)
        buckets, network = self._buckets, wide_network(source.name)
        if solution is not None and self._challenges.solved(room, network, solution):
            source.did |= Did.SOLVED
            CHALLENGES.labels("solved").inc()
            return None
        within = buckets.take(source, _TICKET, now, deep=True)
        wanted = self._document.challenge
        if wanted is Challenge.OFF or (within and not self.challenges_all):
            return None
        excess = buckets.excess(source, _TICKET, now)
        if buckets.tightness > 1 and excess > _FAR_TOO_MANY:
            self._refuse(source, request, now, page=False)
            raise TooManyRequestsError("Too many tickets are asked for from your network.", retry_after_s=_RETRY_S)
        source.did |= Did.CHALLENGED
        CHALLENGES.labels("made" if solution is None else "wrong").inc()
        return self._challenges.make(room, network, excess)

    @property
    def challenges_all(self) -> bool:
        """Tell whether every newcomer is challenged: an operator says so, or the meter where that is left to it."""
        wanted = self._document.challenge
        return wanted is Challenge.ON or (wanted is Challenge.AUTO and self.meter.alarmed)

    @property
    def tightness(self) -> int:
        """Return by how much budgets are smaller than they are set, now."""
        return self._buckets.tightness

    # Once a second.

    def tick(self, *, busy: bool) -> MeterReport | None:
        """Make budgets smaller while this edge is busy and much is asked of it; return what to report, at times."""
        asked = self.meter.requests + self.meter.cut
        much, self._asked = asked - self._asked >= _MANY_PER_S, asked
        buckets = self._buckets
        if busy and much:
            self._calm_s = 0
            buckets.tighten(min(TIGHTEST, buckets.tightness * 2))
        else:
            self._calm_s += 1
            if self._calm_s % _LOOSEN_AFTER == 0 and buckets.tightness > 1:
                buckets.tighten(buckets.tightness // 2)
        TIGHTNESS.set(buckets.tightness)
        self._seconds += 1
        if self._seconds % _TIDY_S == 0:
            buckets.tidy(self._clock.monotonic_ns())
            self._forget_vouched()
        if self._seconds % REPORT_S:
            return None
        alarmed = self.meter.alarmed
        report = self.meter.report(challenged=self.challenges_all)
        if self.meter.alarmed is not alarmed:
            log.warning("crowd_alarm", on=self.meter.alarmed, requests_per_s=report.requests_per_s)
        return report

    def _forget_vouched(self) -> None:
        now_ns = self._clock.wall_ns()
        over = [name for name, until_ns in self._vouched.items() if until_ns < now_ns]
        for name in over:
            del self._vouched[name]
        if over:
            self._buckets.judge(self._standing)


def _note(source: Source, request: Request, now: MonotonicNs) -> Ask:
    """Note for the meter what is asked for, and return as what it counts."""
    source.seen = now
    source.asked += 1
    network = source.network
    if network is not None:
        network.asked += 1
        network.seen = now
    if not source.agent:
        source.agent = request.user_agent[:_AGENT_CHARS] or "none"
    path = request.path
    if not path.startswith("/r/"):
        source.did |= _PAGE if path == "/" else _ASKED
        return _PAGES if path == "/" else _REQUEST
    room, _, rest = path[3:].partition("/")
    if not source.room:
        source.room = room[:_ROOM_CHARS]
    if not rest:
        source.did |= _PAGE
        return _PAGES
    source.did |= _DID.get(rest, _ASKED)
    if rest == "ticket" and request.method == "POST":
        return _TICKET
    if rest.endswith(".m3u8"):
        if not source.since:
            source.since = now
        elif now - source.since >= _PLAYER_NS:
            source.did |= _LISTENED
        return _MEDIA
    return _MEDIA if rest.endswith((".m4s", ".mp4")) else _REQUEST


def _readable(words: Sequence[str]) -> tuple[Network, ...]:
    """Return the networks of a document; control checked them, and one that cannot be read is left out."""
    found: list[Network] = []
    for word in words:
        try:
            found += networks([word])
        except ValueError:
            log.warning("network_garbled", network=word)
    return tuple(found)


def _wait_page(seconds: int) -> Response:
    body = f"""<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<meta http-equiv="refresh" content="{seconds}"><title>One moment</title>
<h1>One moment</h1><p>Very many people ask for this page from your network, which may be a whole mobile carrier.
It is asked for again by itself in {seconds} seconds. Whoever listens already goes on listening. <a href="/status">What
happens</a></p>
<h1 lang="ar" dir="rtl">لحظة من فضلك</h1><p lang="ar" dir="rtl">يطلب هذه الصفحة عدد كبير جدًا من الناس عبر شبكتك،
وقد تكون شبكة هاتف كاملة. ستُطلب الصفحة من جديد تلقائيًا بعد {seconds} ثانية. من يستمع الآن يواصل الاستماع.
<a href="/status?lang=ar">ما يحدث</a></p>
"""
    headers = {
        "Content-Type": "text/html; charset=utf-8",
        "Cache-Control": NO_STORE,
        "Retry-After": str(seconds),
        "Content-Security-Policy": "default-src 'none'",
        "X-Content-Type-Options": "nosniff",
    }
    return Response(429, headers, body.encode())


def _wait(seconds: int) -> Response:
    said = f"Too much is asked for from your network. Ask again in {seconds} s."
    return problem(TooManyRequestsError(said, retry_after_s=seconds))


# Made once: answering a flood must cost next to nothing. Spread, so that not all come back in the same second.
_SPREAD_S = range(_RETRY_S, 2 * _RETRY_S)
_WAIT = [_wait(seconds) for seconds in _SPREAD_S]
_WAIT_PAGES = [_wait_page(seconds) for seconds in _SPREAD_S]
_DENIED = problem(DeniedError(_DENIED_SAYS))
