"""One watched process: real children of a few lines of shell."""

import asyncio
import os
import signal
import threading
from pathlib import Path

import pytest

from stentor.clock import SystemClock
from stentor.errors import ConfigError
from stentor.supervisor import child as child_module
from stentor.supervisor.backoff import DELAYS_S
from stentor.supervisor.child import Child, Spec, describe_exit
from stentor.supervisor.private import NO_ANSWER
from stentor.supervisor.spawn import spawn


def shell(script: str, **more) -> Spec:
    more = {"grace_s": 5.0, "environment": dict, **more}
    return Spec(name="fake", command=("/bin/sh", "-c", script), **more)


async def until(reached, why: str) -> None:
    for _ in range(1_000):
        if reached():
            return
        await asyncio.sleep(0.01)
    raise AssertionError(why)


class QuickClock(SystemClock):
    """Remembers how long it was asked to wait, and does not."""

    def __init__(self) -> None:
        self.waits: list[float] = []

    async def sleep(self, seconds: float) -> None:
        self.waits.append(seconds)
        await asyncio.sleep(0)


def dead(pid: int) -> bool:
    try:
        return "State:\tZ" in Path(f"/proc/{pid}/status").read_text()
    except FileNotFoundError:
        return True


async def test_a_crashed_process_comes_back_ever_more_slowly(tmp_path):
    clock = QuickClock()
    watched = Child(
        shell(f"echo x >> {tmp_path}/runs; [ $(wc -l < {tmp_path}/runs) -ge 9 ] && exec sleep 60; exit 3"), clock
    )
    async with asyncio.TaskGroup() as group:
        running = group.create_task(watched.run())
        await until(lambda: watched.restarts == 8 and watched.pid is not None, "eight crashes, then it stays")
        assert clock.waits == [*DELAYS_S, 10, 10]
        assert await watched.reasons() == []
        await watched.stop()
        await running
    assert watched.pid is None


async def test_a_killed_process_says_so_while_it_is_away():
    class StuckClock(QuickClock):
        async def sleep(self, seconds: float) -> None:
            self.waits.append(seconds)
            await asyncio.Event().wait()

    clock = StuckClock()
    watched = Child(shell("exec sleep 60"), clock)
    async with asyncio.TaskGroup() as group:
        running = group.create_task(watched.run())
        await until(lambda: watched.pid is not None, "it starts")
        os.kill(watched.pid or 0, signal.SIGKILL)
        await until(lambda: clock.waits, "its death is noticed")
        assert await watched.reasons() == ["it ended with SIGKILL and is started again"]
        await watched.stop()
        running.cancel()


async def test_what_does_not_stop_is_killed():
    watched = Child(shell("trap '' TERM; while :; do sleep 0.05; done", grace_s=0.2), SystemClock())
    async with asyncio.TaskGroup() as group:
        group.create_task(watched.run())
        await until(lambda: watched.pid is not None, "it starts")
        pid = watched.pid or 0
        await until(lambda: b"trap" in Path(f"/proc/{pid}/cmdline").read_bytes(), "the shell runs")
        await asyncio.sleep(0.1)
        assert not await watched.stop()
    assert dead(pid)


async def test_refused_settings_end_it_all_before_it_was_ever_ready():
    with pytest.raises(ConfigError, match="fake refuses its settings"):
        await Child(shell("exit 2"), SystemClock()).run()
    with pytest.raises(ConfigError, match="/no/such/program cannot be started: No such file"):
        await Child(Spec("fake", ("/no/such/program",), dict, 1.0), SystemClock()).run()


async def test_later_the_same_exit_is_a_crash():
    clock = QuickClock()
    watched = Child(shell("exec sleep 60"), clock)
    async with asyncio.TaskGroup() as group:
        running = group.create_task(watched.run())
        await until(lambda: watched.pid is not None, "it starts")
        assert await watched.reasons() == []
        watched.spec = shell("exit 2")
        first = watched.pid or 0
        os.kill(first, signal.SIGKILL)
        await until(lambda: watched.restarts >= 3, "it is started again and again")
        watched.kill()
        await running


async def test_what_it_says_is_passed_on():
    lines: list[str] = []
    watched = Child(shell("echo one >&2; echo two >&2; exec sleep 60", on_line=lines.append), SystemClock())
    async with asyncio.TaskGroup() as group:
        group.create_task(watched.run())
        await until(lambda: len(lines) == 2, "two lines")
        await watched.stop()
    assert lines == ["one", "two"]


async def test_the_environment_is_asked_at_each_start(tmp_path):
    numbers = iter(range(100))
    spec = shell(
        f"echo $NUMBER-$GONE. >> {tmp_path}/seen", environment=lambda: {"NUMBER": str(next(numbers)), "GONE": ""}
    )
    watched = Child(spec, QuickClock())
    async with asyncio.TaskGroup() as group:
        running = group.create_task(watched.run())
        await until(lambda: watched.restarts >= 3, "three runs")
        watched.kill()
        await running
    assert (tmp_path / "seen").read_text().split()[:3] == ["0-.", "1-.", "2-."]


async def test_cancelling_kills():
    watched = Child(shell("exec sleep 60"), SystemClock())
    async with asyncio.TaskGroup() as group:
        running = group.create_task(watched.run())
        await until(lambda: watched.pid is not None, "it starts")
        pid = watched.pid or 0
        running.cancel()
    assert dead(pid)


async def test_only_the_main_thread_spawns():
    async def elsewhere() -> None:
        await spawn(("/bin/true",), {})

    caught: list[BaseException] = []

    def run() -> None:
        try:
            asyncio.run(elsewhere())
        except RuntimeError as error:
            caught.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert "Only the main thread" in str(caught[0])


def test_an_exit_is_told_in_words():
    assert [describe_exit(code) for code in (0, 2, -9, -15, -200)] == [
        "code 0",
        "code 2",
        "SIGKILL",
        "SIGTERM",
        "signal 200",
    ]


def test_our_own_refusal_has_its_own_code():
    assert child_module.CONFIG_EXIT == 2


async def test_renewed_it_stops_in_order_and_is_no_crash(tmp_path):
    script = (
        f"echo up >> {tmp_path}/diary; trap 'echo down >> {tmp_path}/diary; exit 0' TERM; while :; do sleep 0.02; done"
    )
    clock = QuickClock()
    watched = Child(shell(script), clock)
    diary = tmp_path / "diary"
    async with asyncio.TaskGroup() as group:
        running = group.create_task(watched.run())
        await until(lambda: diary.exists(), "it is up")
        first = watched.pid
        await watched.renew()
        await until(lambda: diary.read_text().split() == ["up", "down", "up"], "it stopped before it came again")
        await until(lambda: watched.pid not in {None, first}, "it is another process")
        assert (watched.restarts, clock.waits) == (0, [])
        await watched.stop()
        await running


async def test_it_stands_back_and_inherits_what_it_is_given(tmp_path):
    read, write = os.pipe()
    shows = f"nice > {tmp_path}/nice; cat /proc/self/autogroup > {tmp_path}/group; echo hello > /proc/self/fd/{write}"
    process = await spawn(("/bin/sh", "-c", shows), {}, keep=(write,), nice=5)
    assert await process.wait() == 0
    os.close(write)
    with os.fdopen(read) as pipe:
        assert pipe.read() == "hello\n"
    assert int((tmp_path / "nice").read_text()) == min(19, os.nice(0) + 5)
    group = (tmp_path / "group").read_text()
    assert not group or group.endswith("nice 5\n"), "in a session of its own nice alone says nothing"


@pytest.mark.parametrize("ends_hung", [True, False])
async def test_one_that_hangs_is_killed_and_started_again(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, ends_hung: bool
) -> None:
    answers: list[str] = []

    async def ask_ready(_socket: Path) -> list[str]:
        return answers

    monkeypatch.setattr(child_module, "ask_ready", ask_ready)
    watched = Child(shell("exec sleep 60", socket=tmp_path / "fake.sock", ends_hung=ends_hung), QuickClock())

    async def look(times: int) -> None:
        for _ in range(times):
            await watched.reasons()
            watched.restart_if_stuck()

    async with asyncio.TaskGroup() as group:
        running = group.create_task(watched.run())
        await until(lambda: watched.pid is not None, "it starts")
        answers = NO_ANSWER
        await look(14)
        answers = ["the bus does not answer"]
        await look(1)
        answers = NO_ANSWER
        await look(14)
        assert watched.restarts == 0, "slow to answer, or without a bus, is not hung"
        await look(1)
        if ends_hung:
            await until(lambda: watched.restarts == 1 and watched.pid is not None, "it is killed and started again")
        await look(5)
        await asyncio.sleep(0.05)
        assert watched.restarts == ends_hung
        watched.kill()
        await running


async def test_one_that_is_stopped_while_it_is_being_started_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    watched = Child(shell("exec sleep 60"), SystemClock())

    async def slow_spawn(*arguments, **more) -> asyncio.subprocess.Process:
        process = await spawn(*arguments, **more)
        await watched.stop()
        return process

    monkeypatch.setattr(child_module, "spawn", slow_spawn)
    async with asyncio.timeout(20):
        await watched.run()
    assert watched.pid is None


async def test_one_that_is_started_anew_has_longer_than_one_that_stops(tmp_path: Path) -> None:
    said, up = tmp_path / "said", tmp_path / "up"
    slow = f"trap 'sleep 0.5; echo told >> {said}; exit 0' TERM; touch {up}; while :; do sleep 0.02; done"
    watched = Child(shell(slow, grace_s=0.1), SystemClock())
    async with asyncio.TaskGroup() as group:
        group.create_task(watched.run())
        await until(up.exists, "it starts")
        up.unlink()
        await watched.renew()
        assert said.read_text() == "told\n"
        await until(up.exists, "it is started anew")
        await watched.stop()
    assert watched.restarts == 0
