"""A room's claim on the processor, in a process of its own."""

import subprocess
import sys
from pathlib import Path

import pytest

from stentor.origin.priority import go_first

LATER = """
import os, threading
from stentor.origin.priority import go_first
began = threading.Event()
earlier = threading.Thread(target=began.wait)
earlier.start()
went = go_first()
policies = [os.sched_getscheduler(earlier.native_id), os.sched_getscheduler(0)]
later = threading.Thread(target=lambda: policies.append(os.sched_getscheduler(0)))
later.start()
later.join()
began.set()
print(went, {each == os.SCHED_RR for each in policies})
"""


def test_all_threads_go_first_or_none_where_it_is_not_allowed() -> None:
    done = subprocess.run([sys.executable, "-c", LATER], capture_output=True, text=True, check=True)
    assert done.stdout.strip() in {"True {True}", "False {False}"}


def test_a_process_that_may_not_is_told_so() -> None:
    limited = "import os, resource; resource.setrlimit(resource.RLIMIT_RTPRIO, (0, 0)); os.setuid(65534)"
    if subprocess.run([sys.executable, "-c", limited], check=False, capture_output=True).returncode:
        pytest.skip("only root can become somebody who is not allowed")
    program = "from stentor.origin.priority import go_first\n" + limited + "\nprint(go_first())"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_a_machine_without_proc_says_no(tmp_path: Path) -> None:
    assert not go_first(tmp_path / "nothing")
