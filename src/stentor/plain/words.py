"""The words of pages without JavaScript: catalogue, plural forms, numbers, times, direction; text made into HTML."""

import html
import re
from collections.abc import Mapping
from datetime import UTC, datetime, tzinfo
from math import ceil
from types import MappingProxyType
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from stentor.plain.arabic import ARABIC
from stentor.plain.english import ENGLISH

NS_PER_S = 1_000_000_000
LANGUAGES = MappingProxyType({"en": "English", "ar": "العربية"})
"""The languages there are, each by its own name."""

_CATALOGUES = {"en": ENGLISH, "ar": ARABIC}
_DAYS = {
    "en": ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"),
    "ar": ("الاثنين", "الثلاثاء", "الأربعاء", "الخميس", "الجمعة", "السبت", "الأحد"),
}
_MONTHS = {
    "en": ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"),
    "ar": (
        "يناير", "فبراير", "مارس", "أبريل", "مايو", "يونيو",
        "يوليو", "أغسطس", "سبتمبر", "أكتوبر", "نوفمبر", "ديسمبر",
    ),
}  # fmt: skip
_FIRST_LONG_S = 2 * 3600
_TAG = re.compile(r"<[^>]*>")


class Safe(str):
    """A piece of HTML, made by us. Every other string is text."""

    __slots__ = ()


def text(value: str) -> Safe:
    """Return text as HTML."""
    return value if isinstance(value, Safe) else Safe(html.escape(value))


def foreign(value: str, language: str | None = None) -> Safe:
    """Return text that somebody else wrote: its direction is its own, and changes nothing around it."""
    lang = f' lang="{html.escape(language)}"' if language else ""
    return Safe(f"<bdi{lang}>{html.escape(value)}</bdi>")


def bare(piece: Safe) -> str:
    """Return a piece of HTML as text."""
    return html.unescape(_TAG.sub("", piece))


def plural(language: str, count: int) -> str:
    """Return the plural form of a count (CLDR, cardinal)."""
    if language != "ar":
        return "one" if count == 1 else "other"
    if count < 3:
        return ("zero", "one", "two")[max(0, count)]
    last = count % 100
    return "few" if 3 <= last <= 10 else "many" if last >= 11 else "other"


class Words:
    """One language. What comes back is HTML: the catalogue's words and what is filled in are escaped."""

    def __init__(self, language: str) -> None:
        self.language = language if language in LANGUAGES else "en"
        self.direction = "rtl" if self.language == "ar" else "ltr"
        self._catalogue: Mapping[str, str | dict[str, str]] = _CATALOGUES[self.language]

    def has(self, key: str) -> bool:
        """Tell whether there are words for a key."""
        return key in self._catalogue

    def t(self, key: str, **values: str | float) -> Safe:
        """Return the words of ``key``; strings that are filled in count as somebody else's."""
        words = self._catalogue[key]
        return self._fill(words if isinstance(words, str) else words["other"], values)

    def n(self, key: str, count: int, **values: str | float) -> Safe:
        """Return the words of ``key`` in the plural form of ``count``."""
        forms = self._catalogue[key]
        words = forms if isinstance(forms, str) else forms[plural(self.language, count)]
        return self._fill(words, {"count": count, **values})

    def _fill(self, words: str, values: Mapping[str, str | float]) -> Safe:
        filled = {name: self._value(value) for name, value in values.items()}
        return Safe(html.escape(words).format_map(filled))

    @classmethod
    def _value(cls, value: str | float) -> Safe:
        if isinstance(value, str):
            return value if isinstance(value, Safe) else foreign(value)
        return cls.number(value)

    @staticmethod
    def number(value: float) -> Safe:
        """Return a number, with two decimals at most."""
        whole = f"{value:,.2f}".rstrip("0").rstrip(".") if isinstance(value, float) else f"{value:,}"
        return Safe(whole)

    def span(self, low_s: float, high_s: float) -> Safe:
        """Return how long something takes, from a range of seconds."""
        if high_s < 60:
            return self.t("span.soon")
        if high_s >= _FIRST_LONG_S:
            return self.n("span.hours", ceil(high_s / 3600), low=max(1, int(low_s // 3600)))
        low, high = int(low_s // 60), ceil(high_s / 60)
        if low in (0, high):
            return self.n("span.minutes", high)
        return self.n("span.between", high, low=low)

    def clock(self, at_ns: int, zone: tzinfo) -> Safe:
        """Return the time of day, with its zone."""
        at = _local(at_ns, zone)
        return Safe(f'<time datetime="{iso(at_ns)}"><bdi dir="ltr">{at:%H:%M} {_zone_name(at)}</bdi></time>')

    def moment(self, at_ns: int, zone: tzinfo) -> Safe:
        """Return day and time of day, with its zone."""
        at = _local(at_ns, zone)
        day = f"{_DAYS[self.language][at.weekday()]} {at.day} {_MONTHS[self.language][at.month - 1]}"
        comma = "،" if self.language == "ar" else ","
        return Safe(
            f'<time datetime="{iso(at_ns)}">{day}{comma} <bdi dir="ltr">{at:%H:%M} {_zone_name(at)}</bdi></time>'
        )


def iso(at_ns: int) -> str:
    """Return Unix nanoseconds as RFC 3339 in UTC, to the millisecond."""
    whole = datetime.fromtimestamp(at_ns // NS_PER_S, tz=UTC)
    return whole.strftime("%Y-%m-%dT%H:%M:%S.") + f"{at_ns // 1_000_000 % 1000:03d}Z"


def zone_of(name: str | None) -> tzinfo:
    """Return a zone of the time zone database; UTC for none, or where it is not known."""
    if name is None:
        return UTC
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return UTC


def _local(at_ns: int, zone: tzinfo) -> datetime:
    return datetime.fromtimestamp(at_ns // NS_PER_S, tz=UTC).astimezone(zone)


def _zone_name(at: datetime) -> str:
    offset = at.utcoffset()
    minutes = int(offset.total_seconds() // 60) if offset is not None else 0
    if minutes == 0:
        return "UTC"
    hours, rest = divmod(abs(minutes), 60)
    return f"UTC{'+' if minutes > 0 else '−'}{hours}" + (f":{rest:02d}" if rest else "")


def wanted_language(asked: str | None, accept_language: str) -> str:
    """Return the language of a page: the one asked for, or else what Accept-Language likes most (RFC 9110, 12.5.4)."""
    if asked is not None and asked in LANGUAGES:
        return asked
    best, best_weight = "en", 0.0
    for entry in accept_language[:200].split(","):
        tag, _, weight_text = entry.strip().partition(";q=")
        primary = tag.strip().lower().partition("-")[0]
        try:
            weight = float(weight_text) if weight_text else 1.0
        except ValueError:
            continue
        if primary in LANGUAGES and weight > best_weight:
            best, best_weight = primary, weight
    return best
