"""The units of deploy/: systemd understands them, and the commands in them are ours."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from typer.main import get_command

from stentor.cli import app

DEPLOY = Path(__file__).parents[2] / "deploy"
UNITS = sorted(DEPLOY.glob("*.service"))
ANALYZE = shutil.which("systemd-analyze")
PROGRAM = "/opt/stentor/.venv/bin/stentor"


def ids(path: Path) -> str:
    return path.name


@pytest.mark.parametrize("unit", UNITS, ids=ids)
def test_the_command_is_one_of_ours(unit: Path) -> None:
    (line,) = re.findall(rf"^ExecStart={PROGRAM} (.+)$", unit.read_text(), re.MULTILINE)
    verb, *words = line.split()
    commands = getattr(get_command(app), "commands")  # noqa: B009 - a group's, which its type does not say
    known = {flag for parameter in commands[verb].params for flag in parameter.opts}
    assert {word for word in words if word.startswith("--")} <= known


@pytest.mark.skipif(ANALYZE is None, reason="there is no systemd here")
@pytest.mark.parametrize("unit", UNITS, ids=ids)
def test_systemd_understands_it(unit: Path, tmp_path: Path) -> None:
    copy = tmp_path / unit.name.replace("@", "@1")
    copy.write_text(unit.read_text().replace(PROGRAM, "/bin/true"))
    said = subprocess.run(
        [str(ANALYZE), "verify", "--man=no", "--recursive-errors=no", str(copy)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert said.returncode == 0, said.stderr
    assert str(copy.name) not in said.stderr, said.stderr
