"""A problem (RFC 9457) as a page: what is wrong, what one can do, and always a way out."""

from collections.abc import Mapping

from stentor.plain.page import Frame, element, join, link, page
from stentor.plain.words import Safe, Words, text

_BY_SLUG = frozenset({"no-such-room", "room-not-open", "door"})
_BY_STATUS = {404: "404", 429: "429", 503: "503", 500: "500"}


def problem_page(problem: Mapping[str, object], words: Words, frame: Frame, *, room: str | None) -> bytes:
    """Return the page. ``room``: the room that the address names, if any."""
    slug = str(problem.get("type", "")).rpartition(":")[2]
    status = problem.get("status")
    known = slug if slug in _BY_SLUG else _BY_STATUS.get(status if isinstance(status, int) else 0, "other")
    lines = [element("h1", words.t(f"problem.{known}")), element("p", words.t(f"problem.{known}.text"))]
    if known == "other":
        lines.append(element("p", text(str(problem.get("detail", ""))), class_="hint", lang="en", dir="ltr"))
    ways: list[Safe] = []
    if room is not None and known == "door":
        ways.append(link(frame.to(f"/r/{room}/door"), words.t("problem.door.go"), primary=True))
    if frame.refresh_s is not None:
        ways.append(link(frame.itself(), words.t("status.again"), primary=True))
    if room is not None and known not in ("no-such-room", "404"):
        ways.append(link(frame.to(f"/r/{room}"), words.t("door.room")))
    ways.append(link(frame.site + "/", words.t("app.rooms")))
    lines.append(element("p", join(*ways), class_="row"))
    return page(words, frame, words.t(f"problem.{known}"), element("section", join(*lines), class_="card"))
