"""House rule: what the pages of docs/ name exists: links, headings, metrics, flags, settings, tests, sentences."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from stentor.cli import app
from stentor.config import OTHER_VARIABLES, Settings
from stentor.declared import declared

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])
CODE = {path: path.read_text() for path in (ROOT / "src").rglob("*.py")}
WEB = {path: path.read_text() for path in (ROOT / "web" / "src").rglob("*.ts*")}

_METRIC = re.compile(r"\bstentor_[a-z0-9_]+")
_DECLARED = re.compile(r'(Counter|Gauge|Histogram)\(\s*"(stentor_[a-z0-9_]+)"')
_FLAG = re.compile(r"(?<![\w-])--[a-z][a-z0-9-]+")
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_TEST_FILE = re.compile(r"\btests/[\w/]+\.py|\btest_\w+\.py")
# Flags of other programs that the pages name.
_OTHERS = {"--use-file-for-fake-audio-capture", "--system", "--home-dir", "--shell", "--now", "--unix-socket"}


def pages() -> list[object]:
    return [pytest.param(path, id=str(path.relative_to(ROOT))) for path in PAGES]


def metrics() -> set[str]:
    """Return every name under which a metric can be seen."""
    names: set[str] = set()
    for text in CODE.values():
        for kind, name in _DECLARED.findall(text):
            base = name.removesuffix("_total")
            names |= {f"{base}_total"} if kind == "Counter" else {name}
            if kind == "Histogram":
                names |= {f"{name}_bucket", f"{name}_sum", f"{name}_count"}
    return names


def flags() -> set[str]:
    found = {flag for setting in declared() if not setting.secret for flag in setting.flags}
    for command in app.registered_commands:
        assert command.callback is not None
        for annotation in command.callback.__annotations__.values():
            for option in getattr(annotation, "__metadata__", ()):
                # Typer takes the first flag of an annotation for the default, and sorts that out later.
                words = (getattr(option, "default", None), *(getattr(option, "param_decls", None) or ()))
                found |= {word for word in words if isinstance(word, str) and word.startswith("--")}
    benches = [
        word for file in (ROOT / "bench").glob("*.py") for word in re.findall(r'"(--[a-z-]+)"', file.read_text())
    ]
    return found | {"--help", "--fingerprint", *benches}


def anchors(text: str) -> set[str]:
    """Return the anchors of a page's headings as they are made on the web."""
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def sentences(text: str) -> Iterator[str]:
    """Yield the parts in double quotes of the table of troubleshooting's first column."""
    _, _, after = text.partition("## Troubleshooting")
    for row in re.findall(r"^\| (.+?) \|", after, re.MULTILINE):
        yield from re.findall(r'"([^"]+)"', row)


@pytest.mark.parametrize("page", pages())
def test_links_lead_somewhere(page: Path) -> None:
    for link in _LINK.findall(page.read_text()):
        if link.startswith(("http://", "https://", "mailto:")):
            continue
        name, _, anchor = link.partition("#")
        target = (page.parent / name).resolve() if name else page
        assert target.exists(), f"{link} leads nowhere"
        if anchor:
            assert anchor in anchors(target.read_text()), f"{link}: there is no such heading"


@pytest.mark.parametrize("page", pages())
def test_metrics_exist(page: Path) -> None:
    assert set(_METRIC.findall(page.read_text())) - metrics() == set()


@pytest.mark.parametrize("page", pages())
def test_flags_exist(page: Path) -> None:
    assert set(_FLAG.findall(page.read_text())) - flags() - _OTHERS == set()


@pytest.mark.parametrize("page", pages())
def test_settings_exist(page: Path) -> None:
    text = page.read_text()
    variables = {setting.variable for setting in declared()} | OTHER_VARIABLES
    assert set(re.findall(r"\bSTENTOR_[A-Z_]+\b", text)) - variables - {"STENTOR_"} == set()
    keys = set(re.findall(r'^ {4}([a-z_]+) = (?:"|\[|\d)', text, re.MULTILINE))
    assert keys - set(Settings.model_fields) == set()


@pytest.mark.parametrize("page", pages())
def test_tests_exist(page: Path) -> None:
    there = {path.name for path in (ROOT / "tests").rglob("*.py")}
    assert {Path(name).name for name in _TEST_FILE.findall(page.read_text())} - there == set()


def test_troubleshooting_quotes_what_is_said() -> None:
    said = "\n".join([*CODE.values(), *WEB.values()])
    quoted = list(sentences((ROOT / "docs" / "operations.md").read_text()))
    assert quoted
    assert [sentence for sentence in quoted if sentence not in said] == []
