"""Sockets that are bound here, and those that somebody bound for us."""

import os
import socket

import pytest

from stentor.errors import ConfigError
from stentor.supervisor.ports import LISTEN_VARIABLE, activated, bind, inherited


def test_a_port_of_our_own_is_nobody_elses() -> None:
    with bind("127.0.0.1", 0, "--audience", shared=False) as own:
        own.listen()
        with pytest.raises(ConfigError, match="--audience-port"):
            bind("127.0.0.1", own.getsockname()[1], "--audience", shared=True)


def test_a_shared_port_is_bound_twice() -> None:
    with bind("127.0.0.1", 0, "--staff", shared=True) as first:
        port = first.getsockname()[1]
        with pytest.raises(ConnectionRefusedError):  # it is held, and does not listen
            socket.create_connection(first.getsockname(), timeout=5)
        with bind("127.0.0.1", port, "--staff", shared=True) as second:
            assert second.getsockname() == first.getsockname()


def test_nothing_is_inherited_by_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LISTEN_PID", str(os.getppid()))
    monkeypatch.setenv("LISTEN_FDS", "1")
    assert not activated(), "it was meant for our parent"
    assert inherited() is None


def test_what_the_parent_bound_is_taken_and_not_passed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    with bind("127.0.0.1", 0, "--audience", shared=False) as theirs:
        number = os.dup(theirs.fileno())
        os.set_inheritable(number, True)
        monkeypatch.setenv(LISTEN_VARIABLE, str(number))
        taken = inherited()
        assert taken is not None
        with taken:
            assert taken.getsockname() == theirs.getsockname()
            assert not os.get_inheritable(taken.fileno())
