"""A room's door without JavaScript: when it opens, the place in line, the sound, the replay. It asks by itself."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import ceil

from pydantic import BaseModel, ConfigDict

from stentor.plain.page import Frame, element, join, link, page, pill
from stentor.plain.status import sentence
from stentor.plain.words import NS_PER_S, Safe, Words, foreign, text, zone_of
from stentor.room.documents import RoomDocument
from stentor.room.states import OPEN_STATES, RoomState
from stentor.room.status import StatusEvent

_KINDS = {"m4a": "audio/mp4", "opus": "audio/ogg", "mp3": "audio/mpeg"}
_SOON_NS = 600 * NS_PER_S
_CHALLENGED_S = 15
_CHALLENGE = "challenge"


class Answer(BaseModel):
    """The answer of ``POST /r/{room}/ticket`` (docs/design.md), as far as this page shows it."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    admitted: bool
    ticket: str | None = None
    take_up_s: float | None = None
    position: int | None = None
    wait_s: tuple[float, float] | None = None
    retry_after_s: float = 10.0
    because: str | None = None
    overflow: str | None = None


@dataclass(frozen=True, slots=True)
class DoorView:
    """What the page shows.

    ``answer`` is the door's, None once the room is over; ``replay`` as in state.json; ``on_stage``: who is there;
    ``events``: what happened in the room lately, the newest first.
    """

    room: RoomDocument
    now_ns: int
    answer: Answer | None = None
    replay: Mapping[str, object] | None = None
    on_stage: tuple[str, ...] = ()
    events: tuple[StatusEvent, ...] = ()


def door_page(view: DoorView, words: Words, frame: Frame) -> bytes:
    """Return the page; ``frame`` needs no ``refresh_s``, which follows from the answer."""
    room, answer = view.room, view.answer
    head = [pill(words, room.state), element("h1", foreign(room.title, room.language))]
    if room.description:
        head.append(element("p", foreign(room.description, room.language)))
    pieces = [element("div", join(*head), class_="head")]
    if room.announcement is not None:
        said = element("p", text(room.announcement.text), dir="auto")
        pieces.append(element("section", said, class_="announcement", aria_label=words.t("door.announcement")))
    if answer is not None and answer.admitted and room.state in OPEN_STATES:
        pieces.append(_inside(view, answer, words, frame))
    elif room.state in OPEN_STATES and answer is not None:
        frame = replace(frame, refresh_s=_again_s(answer))
        pieces += [_in_line(view, answer, words, frame), _meanwhile(answer, words), _happening(view, words)]
    elif room.state in (RoomState.ENDED, RoomState.PUBLISHED):
        frame = replace(frame, refresh_s=None if view.replay or not room.recorded else _spread_s(view.now_ns, 15))
        pieces.append(_over(view, words))
    else:
        frame = replace(frame, refresh_s=_until_open_s(view))
        pieces.append(_before(view, words))
    if answer is None or answer.because == _CHALLENGE:
        # Nobody who stands in line or listens is led away: without a script the room's page comes back here anew.
        pieces.append(element("p", link(frame.to(f"/r/{room.room}"), words.t("door.room")), class_="row"))
    return page(words, frame, foreign(room.title), join(*pieces))


def _again_s(answer: Answer) -> int:
    """Return when to ask again: as the door says. Who must solve a challenge first is not told."""
    return ceil(answer.retry_after_s) if answer.retry_after_s > 0 else _CHALLENGED_S


def _spread_s(now_ns: int, about_s: int) -> int:
    """Return seconds around a number: those who came together need not come back together."""
    return about_s * 2 // 3 + now_ns // 1_000 % max(1, about_s * 2 // 3)


def _until_open_s(view: DoorView) -> int:
    if view.answer is not None and not view.answer.admitted:
        return _again_s(view.answer)
    start_ns = view.room.planned_start_ns
    return _spread_s(view.now_ns, 15 if start_ns is not None and start_ns - view.now_ns < _SOON_NS else 60)


def _before(view: DoorView, words: Words) -> Safe:
    start_ns = view.room.planned_start_ns
    if start_ns is None:
        when = words.t("door.opens.unset")
    elif start_ns <= view.now_ns:
        when = words.t("door.opens.soon")
    else:
        when = words.moment(start_ns, zone_of(view.room.time_zone))
    lines = [_facts([("door.opens", when)], words), element("p", words.t("door.opens.keep"))]
    if view.answer is not None and not view.answer.admitted:
        lines.append(element("p", words.t("because.doors-closed"), class_="hint"))
    return element("section", join(*lines), class_="card")


def _in_line(view: DoorView, answer: Answer, words: Words, frame: Frame) -> Safe:
    facts: list[tuple[str, Safe]] = []
    lines: list[Safe] = []
    if answer.position is not None:
        facts.append(("door.position", words.number(answer.position)))
    else:
        lines.append(element("h2", words.t("door.counting")))
    if answer.wait_s is not None:
        facts.append(("door.wait", words.span(*answer.wait_s)))
    elif answer.position is not None:
        facts.append(("door.wait", words.t("door.wait.unknown")))
    facts.append(("door.next", words.n("seconds", frame.refresh_s or 1)))
    lines.append(_facts(facts, words))
    because = f"because.{answer.because}"
    if answer.because is not None and words.has(because):
        lines.append(element("p", words.t(because), class_="notice"))
    lines.append(element("p", words.t("door.keep")))
    asked = words.t("door.last-asked", when=words.clock(view.now_ns, zone_of(view.room.time_zone)))
    lines.append(element("p", asked, class_="hint"))
    return element("section", join(*lines), class_="card")


def _facts(facts: list[tuple[str, Safe]], words: Words) -> Safe:
    rows = []
    for key, value in facts:
        row = join(element("dt", words.t(key)), element("dd", value))
        rows.append(element("div", row, class_="first" if key == "door.position" else "fact"))
    return element("dl", join(*rows), class_="big")


def _meanwhile(answer: Answer, words: Words) -> Safe:
    if not answer.overflow:
        return Safe("")
    go = element("p", link(answer.overflow, words.t("door.overflow"), primary=True), class_="row")
    said = join(element("h2", words.t("door.meanwhile")), element("p", words.t("door.overflow.text")), go)
    return element("section", said, class_="card")


def _happening(view: DoorView, words: Words) -> Safe:
    """Return who is on stage and what happened, for those who cannot hear it yet."""
    lines: list[Safe] = []
    if view.on_stage:
        names = Safe(", ".join(foreign(name) for name in view.on_stage))
        lines.append(element("p", join(words.t("door.stage"), " ", names)))
    if view.events:
        zone = zone_of(view.room.time_zone)
        happened = (join(words.clock(event.at_ns, zone), element("p", sentence(event, words))) for event in view.events)
        lines.append(element("ol", join(*(element("li", each) for each in happened)), class_="lines"))
    if not lines:
        return Safe("")
    return element("section", join(element("h2", words.t("door.happens")), *lines), class_="card")


def _inside(view: DoorView, answer: Answer, words: Words, frame: Frame) -> Safe:
    base, ticket = f"/r/{view.room.room}", f"?ticket={answer.ticket}" if answer.ticket else ""
    sources = "".join(
        f'<source src="{text(f"{base}/listen.{name}{ticket}")}" type="{kind}">'
        for name, kind in (("aac", "audio/aac"), ("mp3", "audio/mpeg"), ("opus", "audio/ogg; codecs=opus"))
    )
    lines = [element("h2", words.t("door.inside")), Safe(f"<audio controls autoplay>{sources}</audio>")]
    lines.append(element("p", words.t("door.inside.play")))
    if answer.take_up_s is not None:
        lines.append(element("p", words.n("door.inside.soon", int(answer.take_up_s))))
    if view.room.state is not RoomState.LIVE:
        lines.append(element("p", words.t("door.inside.hold")))
    back = link(frame.itself(ticket=answer.ticket or ""), words.t("door.inside.back"))
    lines += [element("p", words.t("door.inside.broken"), class_="hint"), element("p", back, class_="row")]
    player = element("a", Safe("listen.mp3"), href=f"{base}/listen.mp3{ticket}", dir="ltr")
    lines.append(element("p", join(words.t("door.player"), " ", player), class_="hint"))
    return element("section", join(*lines), class_="card")


def _over(view: DoorView, words: Words) -> Safe:
    recordings = view.replay.get("recordings") if view.replay else None
    if not isinstance(recordings, Mapping) or not recordings:
        why = "door.over.soon" if view.room.recorded else "door.over.unrecorded"
        said = join(element("h2", words.t("door.over")), element("p", words.t(why)))
        return element("section", said, class_="card")
    known = [(ending, str(recordings[ending])) for ending in _KINDS if ending in recordings]
    sources = "".join(f'<source src="{text(url)}" type="{_KINDS[ending]}">' for ending, url in known)
    downloads = (element("a", text(ending.upper()), href=url, class_="button", download="") for ending, url in known)
    lines = [
        element("h2", words.t("door.replay")),
        Safe(f'<audio controls preload="metadata">{sources}</audio>'),
        element("h2", words.t("door.download")),
        element("p", join(*downloads), class_="row"),
    ]
    return element("section", join(*lines), class_="card")
