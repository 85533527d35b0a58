"""Signing in from the command line: the data folder is the permission; what is missing is said in a sentence."""

from pathlib import Path

import pytest

from stentor.app import command_line_link, operator_link
from stentor.config import Settings
from stentor.errors import ConfigError, Unavailable
from stentor.verbs.operator import operator_api


def held(folder: Path) -> list[Path]:
    return list(folder.iterdir())


async def test_a_folder_that_is_no_stentors_stays_untouched(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="name it with --data-dir"):
        await operator_api(Settings(data_dir=tmp_path))
    assert held(tmp_path) == []


async def test_a_stentor_that_does_not_run(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path, staff_url="http://127.0.0.1:9")
    await operator_link(settings)
    with pytest.raises(Unavailable, match=r"Nobody answers at 127.0.0.1:9.* Start Stentor, or say where"):
        await operator_api(settings)


async def test_the_command_line_has_one_link(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path)
    first = await command_line_link(settings)
    assert await command_line_link(settings) == first != await operator_link(settings)
