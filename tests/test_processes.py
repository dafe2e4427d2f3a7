"""Work shared among processes."""

import itertools
import os
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
