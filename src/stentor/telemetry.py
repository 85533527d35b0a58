"""Logs and metrics: the only two ways in which a process says how it is.

Logs are structlog events on stderr, one line each: JSON, or for people on a terminal. Values are bounded, control
and bidirectional characters are escaped, and what looks like a secret is left out. Metrics are declared where they
are counted, in prometheus_client's default registry; ``render_metrics`` returns them all.
"""

import logging
import re
import sys
from collections.abc import MutableMapping
from enum import StrEnum
from typing import cast
from weakref import WeakSet

import structlog
from prometheus_client import REGISTRY, generate_latest
from structlog.typing import FilteringBoundLogger

from stentor.clock import NS_PER_S, Clock, MonotonicNs, SystemClock, iso_utc

MAX_VALUE_CHARS = 500
MAX_EXCEPTION_CHARS = 8_000
MAX_KEYS = 40
METRICS_CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_SECRET_KEY = re.compile(r"token|password|passwd|secret|authorization|cookie|private_key|credential", re.IGNORECASE)
_SECRET_VALUE = re.compile(r"(#t=|[Bb]earer |[?&](?:t|token|ticket)=)[^\s\"'&]+|(?<=://)[^/\s@]+(?=@)")
_UNSAFE = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")

_Event = MutableMapping[str, object]


class LogFormat(StrEnum):
    """How log lines look: ``auto`` is console on a terminal and JSON elsewhere."""

    AUTO = "auto"
    JSON = "json"
    CONSOLE = "console"


def clean(text: str, limit: int = MAX_VALUE_CHARS) -> str:
    """Return ``text`` fit for one log line: secrets left out, unsafe characters escaped, at most ``limit`` long."""
    text = text if len(text) <= 4 * limit else text[: 4 * limit]
    text = _SECRET_VALUE.sub(lambda match: (match.group(1) or "") + "***", text)
    text = _UNSAFE.sub(lambda match: f"\\u{ord(match.group()):04x}", text)
    return text if len(text) <= limit else text[: limit - 1] + "…"


def _tidy_value(key: str, value: object) -> object:
    if _SECRET_KEY.search(key):
        return "***"
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, bytes):
        return clean(value.hex())
    return clean(value if isinstance(value, str) else str(value))


def _tidy(_logger: object, _method: str, event: _Event) -> _Event:
    trace = event.pop("exception", None)
    tidied = {clean(key, 60): _tidy_value(key, value) for key, value in list(event.items())[:MAX_KEYS]}
    if trace is not None:
        # The end of a traceback says most. Its line ends stay: JSON escapes them, a terminal shows them.
        lines = str(trace)[-MAX_EXCEPTION_CHARS:].splitlines()
        tidied["exception"] = "\n".join(clean(line, 400) for line in lines)
    event.clear()
    event.update(tidied)
    return event


class _Stamp:
    """Adds time and process to each event."""

    def __init__(self, process: str | None) -> None:
        self._process = process
        self._clock = SystemClock()

    def __call__(self, _logger: object, _method: str, event: _Event) -> _Event:
        event["time"] = iso_utc(self._clock.wall_ns())
        if self._process is not None:
            event.setdefault("process", self._process)
        return event


class _Bridge(logging.Handler):
    """Passes what libraries say through the standard library on to our log."""

    def emit(self, record: logging.LogRecord) -> None:  # type: ignore[explicit-override]  # typing has it from 3.12
        """Log one record; a record that cannot be formatted is dropped, as a log must not raise."""
        try:
            text = record.getMessage()
        except (TypeError, ValueError):
            return
        exc_info = record.exc_info if record.exc_info and record.exc_info[0] is not None else None
        logger(record.name).log(record.levelno, text, **({"exc_info": exc_info} if exc_info else {}))


def _stderr(*_names: object) -> structlog.WriteLogger:
    return structlog.WriteLogger(sys.stderr)


def configure(level: str = "info", log_format: str = LogFormat.AUTO, *, process: str | None = None) -> None:
    """Set up logging for this process; called once by the command line, and again freely by tests.

    Args:
        level: debug, info, warning or error.
        log_format: auto, json or console.
        process: the name that stands in each line, for example ``edge-1``.
    """
    number = logging.getLevelNamesMapping()[level.upper()]
    console = log_format == LogFormat.CONSOLE or (log_format == LogFormat.AUTO and sys.stderr.isatty())
    renderer: structlog.typing.Processor = structlog.processors.JSONRenderer(ensure_ascii=True)
    if console:
        renderer = structlog.dev.ConsoleRenderer(
            colors=sys.stderr.isatty(),
            exception_formatter=structlog.dev.plain_traceback,
            timestamp_key="time",
            pad_event_to=0,
            pad_level=False,
        )
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            _Stamp(process),
            structlog.processors.format_exc_info,
            _tidy,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=_stderr,
        cache_logger_on_first_use=False,
    )
    root = logging.getLogger()
    root.handlers = [handler for handler in root.handlers if not isinstance(handler, _Bridge)] + [_Bridge()]
    # Libraries speak only when something is wrong, or when everything is asked for.
    root.setLevel(number if number <= logging.DEBUG else max(number, logging.WARNING))


def logger(name: str) -> FilteringBoundLogger:
    """Return the logger of a part of Stentor; use it as ``log.info("event_name", key=value)``."""
    return cast("FilteringBoundLogger", structlog.get_logger(part=name))


def render_metrics() -> bytes:
    """Return this process's metrics in Prometheus' text format."""
    return generate_latest(REGISTRY)


class RateLimitedLog:
    """A flood of faults as one line a second: how often, and the last one.

    ``note`` is cheap enough for every packet. The first fault is logged at once; what is still unsaid when the flood
    ends is logged by ``dump_rate_limited``, which every process calls once a second.
    """

    def __init__(self, log: FilteringBoundLogger, event: str, clock: Clock, *, period_s: float = 1.0) -> None:
        self._log = log
        self._event = event
        self._clock = clock
        self._period_ns = int(period_s * NS_PER_S)
        self._next = MonotonicNs(clock.monotonic_ns())
        self._unsaid = 0
        self._last: object = ""
        self._fields: dict[str, object] = {}
        self.total = 0
        _rate_limited.add(self)

    def note(self, error: object, **fields: object) -> None:
        """Count one fault and log it now if no line was logged in the last period."""
        self.total += 1
        self._unsaid += 1
        self._last, self._fields = error, fields
        self.flush()

    def flush(self) -> None:
        """Log what is unsaid, if the period has passed."""
        now = self._clock.monotonic_ns()
        if not self._unsaid or now < self._next:
            return
        last = f"{type(self._last).__name__}: {self._last}" if isinstance(self._last, BaseException) else self._last
        self._log.warning(self._event, **{**self._fields, "times": self._unsaid, "total": self.total, "last": last})
        self._unsaid = 0
        self._next = MonotonicNs(now + self._period_ns)


_rate_limited: "WeakSet[RateLimitedLog]" = WeakSet()


def dump_rate_limited() -> None:
    """Log the unsaid rest of every flood that has ended."""
    for limited in list(_rate_limited):
        limited.flush()


configure()
