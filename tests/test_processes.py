"""Work shared among processes."""

import itertools
import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from vlsm_jax.processes import in_order


def square(x: int) -> int:
    time.sleep(0.02 * (x % 3))  # later tasks may end first
    return x * x


def own_process(x: int) -> int:
    del x
    return os.getpid()


def fail_at_three(x: int) -> int:
    if x == 3:
        raise ValueError("three")
    return x


def test_results_come_in_the_order_of_the_tasks():
    assert list(in_order(square, range(10), workers=2)) == [x * x for x in range(10)]
    assert list(in_order(square, range(4), workers=0)) == [0, 1, 4, 9]


def test_one_worker_is_this_process():
    assert set(in_order(own_process, range(3), workers=1)) == {os.getpid()}
    assert os.getpid() not in set(in_order(own_process, range(3), workers=2))


def test_tasks_are_read_as_they_are_needed():
    read = itertools.count()
    results = in_order(square, (next(read) for _ in range(1000)), workers=2)
    next(results)
    results.close()
    assert next(read) < 20


def test_an_error_ends_the_work():
    results = in_order(fail_at_three, range(100), workers=2)
    with pytest.raises(ValueError, match="three"):
        list(results)


ENDLESS = """\
import itertools
from vlsm_jax.processes import in_order
from test_processes import own_process

if __name__ == "__main__":
    for pid in in_order(own_process, itertools.count(), workers=2):
        print(pid, flush=True)
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="POSIX")
def test_no_process_outlives_a_parent_that_is_killed(tmp_path):
    script = tmp_path / "endless.py"
    script.write_text(ENDLESS)
    path = os.pathsep.join([os.path.dirname(__file__), os.environ.get("PYTHONPATH", "")])  # noqa: PTH120
    parent = subprocess.Popen(
        [sys.executable, str(script)], stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": path}
    )
    workers: set[int] = set()
    while len(workers) < 2:
        workers.add(int(parent.stdout.readline()))
    parent.kill()
    parent.wait()
    # The pipe ends when the last process that could write into it has ended.
    reading = threading.Thread(target=parent.stdout.read, daemon=True)
    reading.start()
    reading.join(20)
    outlived = reading.is_alive()
    if outlived:
        for pid in workers:
            os.kill(pid, signal.SIGKILL)
        reading.join()
    parent.stdout.close()
    assert not outlived
