"""The data folder in one file, and back."""

import io
import os
import sqlite3
import stat
import tarfile
import threading

import pytest

from stentor.config import Settings
from stentor.declared import load
from stentor.errors import ConfigError
from stentor.supervisor.backup import backup, restore
from stentor.supervisor.machine import hold_folder


@pytest.fixture
def settings(tmp_path) -> Settings:
    settings = load(None, {"data_dir": tmp_path / "data"})
    folder = settings.data_dir
    for name, content in {
        "keys/proof.key": b"secret",
        "nats/jetstream/LOG/1.blk": b"log" * 1_000,
        "objects/demo/aac/1/1.m4s": os.urandom(10_000),
        "spool/demo.1": b"spool",
        "run/nats.conf": b"passwords",
        "scratch/half": b"half",
    }.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    (folder / "keys" / "proof.key").chmod(0o600)
    with sqlite3.connect(folder / "stentor.db") as database:
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("CREATE TABLE rooms (room TEXT)")
        database.execute("INSERT INTO rooms VALUES ('demo')")
    database.close()
    return settings


def rooms(settings: Settings) -> list[str]:
    database = sqlite3.connect(settings.data_dir / "stentor.db")
    try:
        return [row[0] for row in database.execute("SELECT room FROM rooms")]
    finally:
        database.close()


def test_there_and_back(settings, tmp_path):
    file = tmp_path / "night.tar.gz"
    said = backup(settings, file)
    assert f"Backed up 5 files from {settings.data_dir} to {file}" in said
    assert "while Stentor was stopped" in said
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    other = load(None, {"data_dir": tmp_path / "other"})
    said = restore(other, file, force=False)
    assert f"Restored 5 files from {file} to {other.data_dir}." in said
    assert rooms(other) == ["demo"]
    for name in ("keys/proof.key", "nats/jetstream/LOG/1.blk", "objects/demo/aac/1/1.m4s", "spool/demo.1"):
        assert (other.data_dir / name).read_bytes() == (settings.data_dir / name).read_bytes()
    assert stat.S_IMODE((other.data_dir / "keys" / "proof.key").stat().st_mode) == 0o600
    assert not (other.data_dir / "run" / "nats.conf").exists()
    assert not (other.data_dir / "scratch").exists()


def test_while_it_runs_the_catalogue_is_whole(settings, tmp_path):
    writer = sqlite3.connect(settings.data_dir / "stentor.db", check_same_thread=False)
    done = threading.Event()

    def write() -> None:
        while not done.is_set():
            with writer:
                writer.executemany("INSERT INTO rooms VALUES (?)", [("a",), ("b",)])

    thread = threading.Thread(target=write)
    thread.start()
    try:
        with hold_folder(settings):
            said = backup(settings, tmp_path / "night.tar.gz")
    finally:
        done.set()
        thread.join()
        writer.close()
    assert "while Stentor was running" in said
    other = load(None, {"data_dir": tmp_path / "other"})
    restore(other, tmp_path / "night.tar.gz", force=False)
    found = rooms(other)
    assert found.count("a") == found.count("b")


def test_a_folder_that_holds_something_is_not_overwritten(settings, tmp_path):
    file = tmp_path / "night.tar.gz"
    backup(settings, file)
    (settings.data_dir / "keys" / "proof.key").write_bytes(b"newer")
    with pytest.raises(ConfigError, match="is not empty: choose another, or replace it with --force"):
        restore(settings, file, force=False)
    assert (settings.data_dir / "keys" / "proof.key").read_bytes() == b"newer"
    said = restore(settings, file, force=True)
    assert (settings.data_dir / "keys" / "proof.key").read_bytes() == b"secret"
    (aside,) = settings.data_dir.glob("before-restore-*")
    assert f"What was there is in {aside}." in said
    assert (aside / "keys" / "proof.key").read_bytes() == b"newer"
    assert "Backed up 5 files" in backup(settings, file)


def test_not_under_a_running_stentor(settings, tmp_path):
    file = tmp_path / "night.tar.gz"
    backup(settings, file)
    with hold_folder(settings), pytest.raises(ConfigError, match="Another Stentor uses the data folder"):
        restore(settings, file, force=True)
    assert rooms(settings) == ["demo"]


def test_what_is_outside_is_said(settings, tmp_path):
    chosen = load(None, {"data_dir": settings.data_dir, "nats_url": "nats://h:1", "objects_url": "s3://b/p"})
    said = backup(chosen, tmp_path / "night.tar.gz")
    assert "Not in it, back it up by its own means: the object store, the NATS servers." in said


def test_nothing_to_back_up_or_no_place_for_it(settings, tmp_path):
    with pytest.raises(ConfigError, match="There is nothing in"):
        backup(load(None, {"data_dir": tmp_path / "none"}), tmp_path / "night.tar.gz")
    with pytest.raises(ConfigError, match="cannot be written"):
        backup(settings, tmp_path / "no" / "such" / "night.tar.gz")


@pytest.mark.parametrize("name", ["../outside", "/outside", "keys/../../outside"])
def test_a_file_that_reaches_outside_is_refused(settings, tmp_path, name):
    file = tmp_path / "evil.tar.gz"
    with tarfile.open(file, "w:gz") as archive:
        for member_name in ("stentor-backup", name):
            member = tarfile.TarInfo(member_name)
            member.size = 4
            archive.addfile(member, io.BytesIO(b"evil"))
    other = load(None, {"data_dir": tmp_path / "other"})
    with pytest.raises(ConfigError, match="nothing was restored"):
        restore(other, file, force=False)
    assert not (tmp_path / "outside").exists()


def test_what_is_no_backup(settings, tmp_path):
    file = tmp_path / "night.tar.gz"
    for content in (b"", b"no archive", None):
        if content is None:
            with tarfile.open(file, "w:gz") as archive:
                archive.addfile(tarfile.TarInfo("holiday.jpg"))
        else:
            file.write_bytes(content)
        with pytest.raises(ConfigError, match=r"is no backup of Stentor|cannot be read"):
            restore(load(None, {"data_dir": tmp_path / "other"}), file, force=False)
