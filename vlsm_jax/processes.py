"""Work shared among fresh processes: results in order, an end at once when it is broken off."""

from __future__ import annotations

import concurrent.futures
import contextlib
import itertools
import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")

_AHEAD = 3  # tasks per process that wait: none idles, and few results are held


def fresh_pool(workers: int) -> concurrent.futures.ProcessPoolExecutor:
    """Returns a pool of fresh ("spawn") processes, which share no accelerator and no lock with this one.

    As always with such a pool, the program's main module is imported in each of them, so what it does belongs under
    `if __name__ == "__main__":`.
    """
    return _Pool(workers, mp_context=multiprocessing.get_context("spawn"), initializer=_begin)


class _Pool(concurrent.futures.ProcessPoolExecutor):
    """Starts its processes deaf to Ctrl-C, which would otherwise meet them while they still import."""

    def submit(self, fn, /, *args, **kwargs):
        if not hasattr(signal, "pthread_sigmask"):
            return super().submit(fn, *args, **kwargs)
        # A process inherits the mask; an interrupt of this one waits until the mask is taken off again.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            return super().submit(fn, *args, **kwargs)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _begin() -> None:
    # Ctrl-C reaches every process of the terminal; it is this one's parent that ends the work, and says so once.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # A parent that is killed can tell nobody, and this process would wait for its next task for ever.
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


@contextlib.contextmanager
def ended_at_once(pool: concurrent.futures.ProcessPoolExecutor) -> Iterator[concurrent.futures.ProcessPoolExecutor]:
    """Ends the processes of a pool when the work is broken off, instead of waiting for what they are at."""
    try:
        yield pool
    except BaseException:
        processes = list((getattr(pool, "_processes", None) or {}).values())
        pool.shutdown(wait=False, cancel_futures=True)
        for process in processes:
            process.terminate()
        raise
    pool.shutdown()


def in_order(function: Callable[[T], R], tasks: Iterable[T], workers: int) -> Iterator[R]:
    """Yields `function(task)` for every task, in their order.

    Tasks are taken a few at a time, so they and their results may be more than fit in memory.

    Args:
      function: can be pickled, as can tasks and results, when there are processes.
      tasks: read as they are needed.
      workers: processes to share the work; 0 and 1 do it in this one.

    Raises:
      concurrent.futures.BrokenExecutor: a process died.
      Exception: whatever `function` raises.
    """
    if workers <= 1:
        yield from map(function, tasks)
        return
    waiting = iter(tasks)
    with ended_at_once(fresh_pool(workers)) as pool:
        pending = deque(pool.submit(function, task) for task in itertools.islice(waiting, _AHEAD * workers))
        while pending:
            done = pending.popleft().result()
            pending.extend(pool.submit(function, task) for task in itertools.islice(waiting, 1))
            yield done
