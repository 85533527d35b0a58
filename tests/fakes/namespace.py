"""A network namespace of a test's own: another machine, joined to this one by one cable. Linux, root only."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Namespace:
    """``here`` and ``here6`` are this side's addresses, ``there`` and ``there6`` the other's."""

    name: str
    here: str
    there: str
    here6: str
    there6: str

    @property
    def command(self) -> list[str]:
        """Return the words to put before a program so that it runs there."""
        return ["ip", "netns", "exec", self.name]

    def run(self, *words: str) -> str:
        """Run a program there to its end; return what it said."""
        return subprocess.run([*self.command, *words], check=True, capture_output=True, text=True).stdout

    def wrapper(self, folder: Path, program: str) -> Path:
        """Return an executable that runs ``program`` there, for who wants a path."""
        script = folder / f"{Path(program).name}-there"
        script.write_text(f'#!/bin/sh\nexec {" ".join(self.command)} {program} "$@"\n')
        script.chmod(0o755)
        return script


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True)


@contextmanager
def namespace() -> Iterator[Namespace]:
    """Make one for as long as the context lasts."""
    tag = os.getpid() % 60_000
    net, net6 = f"10.{100 + tag % 50}.{tag // 50 % 250}", f"fd53:{tag:x}::"
    made = Namespace(f"stentor-test-{tag}", f"{net}.1", f"{net}.2", f"{net6}1", f"{net6}2")
    near, far = f"st{tag}n", f"st{tag}f"
    _ip("netns", "add", made.name)
    try:
        _ip("link", "add", near, "type", "veth", "peer", "name", far, "netns", made.name)
        inside = ["-n", made.name]
        _ip("address", "add", f"{made.here}/30", "dev", near)
        _ip("address", "add", f"{made.here6}/64", "dev", near, "nodad")
        _ip("link", "set", near, "up")
        _ip(*inside, "link", "set", "lo", "up")
        _ip(*inside, "address", "add", f"{made.there}/30", "dev", far)
        _ip(*inside, "address", "add", f"{made.there6}/64", "dev", far, "nodad")
        _ip(*inside, "link", "set", far, "up")
        _ip(*inside, "route", "add", "default", "via", made.here)
        yield made
    finally:
        _ip("netns", "delete", made.name)  # and with it both ends of the cable
