"""Results in order, errors and ended workers seen, no worker left behind."""
import os
import signal
import subprocess
import sys
import time

import pytest

from paths import REPO_DIR
from weatherman.cli import UserError
from weatherman.parallel import AHEAD, ordered_map


def slow_first(number):
    time.sleep(0.2 if number == 0 else 0)
    return number * 10, os.getpid()


def refuse(number):
    raise UserError(f"{number} is bad", "another one")


def end_abruptly(number):
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.parametrize("workers", [1, 3])
def test_results_come_in_the_order_of_the_items(workers):
    results = list(ordered_map(slow_first, range(20), workers))
    assert [value for value, _ in results] == [number * 10 for number in range(20)]
    assert (os.getpid() in {process for _, process in results}) is (workers == 1)


def test_items_are_taken_only_as_far_ahead_as_needed():
    taken = []
    results = ordered_map(slow_first, (taken.append(n) or n for n in range(1000)), 2)
    next(results)
    assert len(taken) == AHEAD * 2 + 1
    results.close()


@pytest.mark.parametrize("workers", [1, 2])
def test_an_error_keeps_its_hint(workers):
    with pytest.raises(UserError, match="7 is bad") as error:
        list(ordered_map(refuse, [7, 8], workers))
    assert error.value.hint == "another one"


def test_a_worker_that_is_killed_is_an_error_with_a_way_out():
    with pytest.raises(UserError, match="ended from outside") as error:
        list(ordered_map(end_abruptly, [1, 2], 2))
    assert error.value.hint == "--workers 1"


def test_workers_do_not_outlive_their_parent():
    code = ("import os, time\nfrom weatherman.parallel import ordered_map\n"
            "def work(n):\n    os.write(1, b'%d\\n' % os.getpid())\n    time.sleep(60)\nlist(ordered_map(work, [1, 2], 2))")
    parent = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, cwd=REPO_DIR / "scripts", text=True)
    workers = [int(parent.stdout.readline()) for _ in range(2)]
    parent.kill()
    parent.wait()
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline and any(map(is_running, workers)):
        time.sleep(0.1)
    assert not any(map(is_running, workers))


def is_running(process):
    """True for a process that exists and is no zombie."""
    found = subprocess.run(["ps", "-o", "stat=", "-p", str(process)], capture_output=True, text=True).stdout.strip()
    return found != "" and not found.startswith("Z")
