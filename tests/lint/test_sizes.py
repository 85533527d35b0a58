"""House rule: functions of at most 60 lines, files of at most 400."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FILES = sorted(p for folder in ("src", "bench", "tests") for p in (ROOT / folder).rglob("*.py"))
PAGES = sorted(p for p in (ROOT / "web" / "src").rglob("*.ts*"))


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_python_sizes(path: Path) -> None:
    text = path.read_text()
    assert text.count("\n") <= 400, "split along the specification's next noun"
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            length = (node.end_lineno or node.lineno) - node.lineno + 1
            assert length <= 60, f"{node.name} has {length} lines"


@pytest.mark.parametrize("path", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_page_sizes(path: Path) -> None:
    assert path.read_text().count("\n") <= 400, "split along the page's next noun"
