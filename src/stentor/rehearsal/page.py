"""The verdict as a page of its own: it loads nothing, and prints."""

from html import escape

from stentor.rehearsal.coordinator import Phase
from stentor.rehearsal.objectives import Finding
from stentor.rehearsal.plots import Line, Mark, plot
from stentor.rehearsal.verdict import Outcome, Verdict

_STYLE = """
:root { color-scheme: light dark; --c0: #1f6feb; --c1: #b35900; --c2: #1a7f37; --c3: #8250df; --c4: #c2185b;
  font: 16px/1.5 system-ui, sans-serif; }
@media (prefers-color-scheme: dark) {
  :root { --c0: #79b8ff; --c1: #ffab70; --c2: #7ee787; --c3: #d2a8ff; --c4: #ff9bce; } }
body { max-width: 48rem; margin: 2rem auto; padding: 0 1rem; overflow-wrap: anywhere; }
.outcome { border: 2px solid; border-radius: .5rem; padding: .5rem 1rem; font-size: 1.15rem; }
.outcome b { text-transform: uppercase; letter-spacing: .04em; }
table { border-collapse: collapse; width: 100%; } tr { border-bottom: 1px solid #8884; }
th, td { text-align: start; padding: .3rem .5rem; vertical-align: top; }
td.n { text-align: end; font-variant-numeric: tabular-nums; white-space: nowrap; }
figure { margin: 1.5rem 0; } figcaption { font-weight: 600; } svg { width: 100%; height: auto; }
svg text { font: 11px system-ui, sans-serif; fill: currentColor; } polyline { fill: none; stroke-width: 2; }
.grid { stroke: #8883; } .moment { stroke: currentColor; stroke-dasharray: 3 3; } .limit { stroke: currentColor; }
.c0 { stroke: var(--c0); } .c1 { stroke: var(--c1); } .c2 { stroke: var(--c2); } .c3 { stroke: var(--c3); }
.c4 { stroke: var(--c4); } ul { padding-inline-start: 1.2rem; } figure ul { list-style: none; display: flex; gap: 1rem;
  flex-wrap: wrap; padding: 0; margin: .25rem 0; } figure li::before { content: "\\2501\\2501 "; }
figure li.c0 { color: var(--c0); } figure li.c1 { color: var(--c1); } figure li.c2 { color: var(--c2); }
figure li.c3 { color: var(--c3); } figure li.c4 { color: var(--c4); } code { font-family: ui-monospace, monospace; }
"""

_WORDS = {
    Outcome.MET: "met",
    Outcome.MISSED: "missed",
    Outcome.UNSURE: "not known",
    Outcome.INTERRUPTED: "interrupted",
    Outcome.VOID: "void",
}
_SHOWN = (Phase.ARRIVAL, Phase.HOLD, Phase.RETURN)
_MARKS = {True: "met", False: "MISSED", None: ""}


def page(verdict: Verdict) -> str:
    """Return the page, in HTML."""
    title = f"Rehearsal of {verdict.room}, {verdict.begun_at}"
    return (
        f"<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content='width=device-width'>"
        f"<title>{escape(title)}</title><style>{_STYLE}</style><body><main><h1>{escape(title)}</h1>"
        f"<p class=outcome><b>{_WORDS[verdict.outcome]}</b> · {escape(verdict.summary)}</p>"
        f"{_what(verdict)}{_figures(verdict.findings)}{_plots(verdict)}"
        f"<h2>What the generator could not do</h2>{_list(verdict.limits)}{_machines(verdict)}"
        f"<h2>Extrapolated, not measured</h2>{_list(verdict.extrapolation)}{_about(verdict)}</main></body></html>"
    )


def _what(verdict: Verdict) -> str:
    return (
        f"<p>{verdict.listeners:,} listeners came to <code>{escape(verdict.url)}/r/{escape(verdict.room)}</code>, "
        f"{verdict.per_second:,.4g} a second, {verdict.push_share:.0%} of them by push and the rest by LL-HLS; held "
        f"for {verdict.hold_s:,.0f} s, then all cut at once. It ended at {verdict.ended_at}.</p>"
    )


def _figures(found: list[Finding]) -> str:
    rows = "".join(
        f"<tr><td>{escape(each.what)}{f'<br><small>{escape(each.note)}</small>' if each.note else ''}</td>"
        f"<td class=n>{_value(each.value)} {escape(each.unit)}</td><td class=n>{_limit(each)}</td>"
        f"<td>{_MARKS[each.met]}</td></tr>"
        for each in found
    )
    head = "<tr><th>figure</th><th>value</th><th>objective</th><th></th></tr>"
    return f"<h2>Figures</h2><table>{head}{rows}</table>"


def _value(value: float | None) -> str:
    return "—" if value is None else f"{value:,.4g}" if abs(value) < 10_000 else f"{value:,.0f}"


def _limit(each: Finding) -> str:
    if each.at_most is not None:
        return f"≤ {_value(each.at_most)}"
    return "" if each.at_least is None else f"≥ {_value(each.at_least)}"


def _plots(verdict: Verdict) -> str:
    series, dials = verdict.series, verdict.configuration.dials if verdict.configuration else None
    moments = [
        Mark(word, x=at - series.begins_s) for word, at in verdict.phases if word in _SHOWN and at >= series.begins_s
    ]

    def lines(*names: tuple[str, str]) -> list[Line]:
        return [
            Line(word, [(at * series.every_s, y) for at, y in enumerate(series.values.get(name, []))], number)
            for number, (name, word) in enumerate(names)
        ]

    caps = [Mark(f"cap {dials.cap:,}", y=float(dials.cap))] if dials and dials.cap is not None else []
    rates = [Mark(f"dial {dials.per_second:g}", y=dials.per_second)] if dials and dials.per_second is not None else []
    return "<h2>How it went</h2>" + "".join(
        (
            plot(
                "Where they are",
                lines(("waiting", "in line"), ("inside", "inside"), ("playing", "hear something")),
                [*moments, *caps],
                x_word="seconds",
            ),
            plot(
                "Let in, and back, each second",
                lines(("arrived", "came"), ("admitted", "let in"), ("came_back", "came back")),
                [*moments, *rates],
                x_word="seconds",
            ),
            plot(
                "Requests and stalls each second",
                lines(("requests", "requests"), ("stalls", "stalls")),
                x_word="seconds",
            ),
            _curves(
                verdict,
                "How long it took, share of listeners",
                ("join_ms", "let in until sound"),
                ("back_ms", "cut until sound"),
            ),
            _curves(
                verdict,
                "How old the sound is, share of looks",
                ("latency_push_ms", "push"),
                ("latency_hls_ms", "LL-HLS"),
            ),
        )
    )


def _curves(verdict: Verdict, title: str, *names: tuple[str, str]) -> str:
    lines = [
        Line(word, verdict.curves[name], number) for number, (name, word) in enumerate(names) if name in verdict.curves
    ]
    return plot(title, lines, x_word="milliseconds", is_log=True) if lines else ""


def _list(sentences: list[str]) -> str:
    return f"<ul>{''.join(f'<li>{escape(each)}</li>' for each in sentences)}</ul>" if sentences else "<p>Nothing.</p>"


def _machines(verdict: Verdict) -> str:
    said = [
        f"{each.name}: {each.cpu}, {each.cores} cores, Linux {each.kernel}, Python {each.python}, "
        f"{each.descriptors:,} sockets a process"
        for each in verdict.machines
    ]
    return f"<h3>Where it ran: {verdict.workers} workers</h3>{_list(said)}"


def _about(verdict: Verdict) -> str:
    held = verdict.configuration
    if held is None:
        return "<h2>Configuration</h2><p>Not known.</p>"
    parts = "".join(f"<li>{escape(name)} <code>{escape(value)}</code></li>" for name, value in held.parts.items())
    return (
        f"<h2>Configuration</h2><p>This verdict is about <code>{escape(held.hash)}</code>, and void once anything of "
        f"it changes; the room's page says so.</p><ul>{parts}</ul>"
    )
