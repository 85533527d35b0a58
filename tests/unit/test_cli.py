"""The command line: flags from the declaration, sentences and exit codes, nothing heavy before it is needed."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from stentor.cli import app
from stentor.declared import declared, sample_config


def stentor(*arguments: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("STENTOR_")}
    return subprocess.run(
        [sys.executable, "-m", "stentor", *arguments],
        cwd=cwd,
        env={**kept, **environment, "COLUMNS": "200"},
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_every_setting_is_a_flag_with_its_help():
    text = CliRunner(env={"COLUMNS": "200", "TERM": "dumb"}).invoke(app, ["serve", "--help"]).output
    for setting in declared():
        assert (setting.flags[0] in text) != setting.secret
    assert "Port for listeners (TCP)." in text


def test_help_teaches():
    text = CliRunner(env={"COLUMNS": "200", "TERM": "dumb"}).invoke(app, ["--help"]).output
    for verb in (
        "serve",
        "demo",
        "control",
        "origin",
        "edge",
        "archive",
        "door",
        "check-config",
        "version",
        "backup",
        "restore",
    ):
        assert verb in text
    assert "origin-room" not in text
    assert "stentor serve --data-dir /var/lib/stentor" in text


def test_the_sample_is_printed():
    result = CliRunner().invoke(app, ["sample-config"])
    assert result.output.strip() == sample_config().strip()


def test_what_is_wrong_is_one_sentence_and_exit_code_2(tmp_path):
    done = stentor("serve", "--udp-ports", "9-1", cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "the smaller port first" in done.stderr
    done = stentor("serve", cwd=tmp_path, STENTOR_AUDIANCE_PORT="80")
    assert done.returncode == 2
    assert "did you mean STENTOR_AUDIENCE_PORT" in done.stderr


def test_check_config_answers(tmp_path):
    free = ["--audience-port", "0", "--staff-port", "0", "--private-port", "0", "--udp-ports", "29100-29130"]
    done = stentor("check-config", *free, cwd=tmp_path)
    assert "The settings are good." in done.stdout
    assert done.returncode == 0
    done = stentor("check-config", *free, "--nats-server", "none", cwd=tmp_path)
    assert done.returncode == 2
    assert "error: --nats-server" in done.stdout


def test_versions_are_told(tmp_path):
    done = stentor("version", cwd=tmp_path)
    assert done.returncode == 0
    told = dict(line.split(maxsplit=1) for line in done.stdout.splitlines())
    assert told["stentor"]
    assert told["nats-server"].count(".") == 2
    assert {"aiortc", "PyAV", "libavcodec", "libopus"} <= set(told)
    assert "not installed" not in done.stdout


@pytest.mark.parametrize("module", ["av", "aiortc", "sqlalchemy", "fastapi", "nats", "uvloop", "numpy", "obstore"])
def test_nothing_heavy_is_imported_for_help(module, heavy_modules):
    assert module not in heavy_modules


@pytest.fixture(scope="module")
def heavy_modules() -> set[str]:
    script = "import sys, stentor.cli, stentor.app; print(' '.join(sys.modules))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_an_orphan_leaves(tmp_path):
    done = stentor("version", cwd=tmp_path, STENTOR_PARENT="1")
    assert done.returncode == 1
    assert done.stdout == ""
