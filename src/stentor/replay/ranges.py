"""Single byte ranges of HTTP (RFC 9110, 14.1.2)."""

import re

from stentor.errors import StentorError

_SINGLE = re.compile(r"bytes=([0-9]{0,15})-([0-9]{0,15})")


class RangeError(StentorError):
    """The range lies outside of what there is: 416."""

    status = 416
    slug = "range-not-satisfiable"


def byte_range(header: str | None, size: int) -> tuple[int, int] | None:
    """Return (start, length) of the one range that is asked for, or None for the whole.

    Several ranges, other units and what makes no sense are answered with the whole, as RFC 9110 allows.
    Raises RangeError.
    """
    match = _SINGLE.fullmatch(header.strip()) if header else None
    if match is None or match[1] == match[2] == "":
        return None
    if match[1] == "":
        length = min(int(match[2]), size)
        if length == 0:
            raise RangeError("The recording is empty, or no bytes were asked for.")
        return size - length, length
    start = int(match[1])
    end = min(int(match[2]), size - 1) if match[2] else size - 1
    if match[2] and int(match[2]) < start:
        return None
    if start >= size:
        raise RangeError("The range begins after the recording's end.")
    return start, end - start + 1
