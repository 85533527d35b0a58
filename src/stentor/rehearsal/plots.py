"""Plots as SVG text: lines over time, and curves of distributions. Nothing is loaded; the page styles them."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

_WIDTH, _HEIGHT = 720, 240
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 12, 12, 34
_TICKS = 5
_LATE = 200
"""A word that would not fit to the right of its stroke stands to the left of it."""


@dataclass(frozen=True)
class Line:
    """A line: its name, its points (x, y), and the number of its colour (0 to 4) in the page's style."""

    name: str
    points: Sequence[tuple[float, float]]
    colour: int


@dataclass(frozen=True)
class Mark:
    """A moment or a limit: a vertical (``x``) or horizontal (``y``) stroke with a word."""

    word: str
    x: float | None = None
    y: float | None = None


def plot(title: str, lines: Sequence[Line], marks: Sequence[Mark] = (), *, x_word: str, is_log: bool = False) -> str:
    """Return a figure with its legend; ``is_log``: x grows by tens."""
    xs = [x for line in lines for x, _ in line.points]
    ys = [y for line in lines for _, y in line.points] + [mark.y for mark in marks if mark.y is not None]
    if not xs:
        return ""
    low, high = (max(min(xs), 0.1), max(*xs, 1.0)) if is_log else (min(xs), max(max(xs), min(xs) + 1))
    top = _nice(max(*ys, 1e-9) if len(ys) > 1 else max(ys[0], 1e-9))
    view = _View(low, high, top, is_log)
    parts = [*_grid(view, x_word), *(view.mark(mark) for mark in marks), *(view.line(line) for line in lines)]
    legend = "".join(f'<li class="c{line.colour}">{escape(line.name)}</li>' for line in lines)
    return (
        f"<figure><figcaption>{escape(title)}</figcaption>"
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{escape(title)}">{"".join(parts)}</svg>'
        f"<ul>{legend}</ul></figure>"
    )


@dataclass(frozen=True)
class _View:
    low: float
    high: float
    top: float
    is_log: bool

    def x(self, value: float) -> float:
        if self.is_log:
            span = math.log10(self.high / self.low) or 1.0
            share = math.log10(max(value, self.low) / self.low) / span
        else:
            share = (value - self.low) / (self.high - self.low)
        return _LEFT + share * (_WIDTH - _LEFT - _RIGHT)

    def y(self, value: float) -> float:
        return _TOP + (1 - value / self.top) * (_HEIGHT - _TOP - _BOTTOM)

    def line(self, line: Line) -> str:
        points = " ".join(f"{self.x(x):.1f},{self.y(y):.1f}" for x, y in line.points)
        return f'<polyline class="c{line.colour}" points="{points}"/>'

    def mark(self, mark: Mark) -> str:
        if mark.y is not None:
            at = self.y(mark.y)
            return (
                f'<line class="limit" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{at:.1f}" y2="{at:.1f}"/>'
                f'<text x="{_WIDTH - _RIGHT}" y="{at - 4:.1f}" text-anchor="end">{escape(mark.word)}</text>'
            )
        at = self.x(mark.x or 0.0)
        is_late = at > _WIDTH - _LATE
        x, anchor = (at - 3, "end") if is_late else (at + 3, "start")
        return (
            f'<line class="moment" x1="{at:.1f}" x2="{at:.1f}" y1="{_TOP}" y2="{_HEIGHT - _BOTTOM}"/>'
            f'<text x="{x:.1f}" y="{_TOP + 9}" text-anchor="{anchor}">{escape(mark.word)}</text>'
        )


def _grid(view: _View, x_word: str) -> list[str]:
    parts = []
    for number in range(_TICKS + 1):
        value = view.top * number / _TICKS
        at = view.y(value)
        parts.append(f'<line class="grid" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{at:.1f}" y2="{at:.1f}"/>')
        parts.append(f'<text x="{_LEFT - 6}" y="{at + 4:.1f}" text-anchor="end">{_short(value)}</text>')
    for value in _x_ticks(view):
        at = view.x(value)
        parts.append(f'<text x="{at:.1f}" y="{_HEIGHT - _BOTTOM + 15}" text-anchor="middle">{_short(value)}</text>')
    parts.append(f'<text x="{_WIDTH - _RIGHT}" y="{_HEIGHT - 4}" text-anchor="end">{escape(x_word)}</text>')
    return parts


def _x_ticks(view: _View) -> list[float]:
    if view.is_log:
        first, last = math.ceil(math.log10(view.low)), math.floor(math.log10(view.high))
        if last - first >= 2:
            return [10.0**power for power in range(first, last + 1)]
        ticks = [step * 10.0**power for power in range(first - 1, last + 1) for step in (1, 2, 5)]
        return [tick for tick in ticks if view.low <= tick <= view.high]
    step = _nice((view.high - view.low) / _TICKS)
    return [view.low + step * number for number in range(_TICKS + 1) if view.low + step * number <= view.high]


def _nice(value: float) -> float:
    """Return the next 1, 2, 2.5 or 5 times a power of ten."""
    power = 10.0 ** math.floor(math.log10(value))
    return next(step * power for step in (1, 2, 2.5, 5, 10) if step * power >= value * 0.999)


def _short(value: float) -> str:
    return f"{value:,.0f}" if value >= 10 or value == int(value) else f"{value:.2g}"
