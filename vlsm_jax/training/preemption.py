"""Word that a process is to end soon, and the step after which training saves and ends.

Schedulers send SIGTERM some time before they kill: 30 seconds on GKE and on most SLURM sites. Training then finishes
the step it is at, saves, and raises `Preempted`, which `launch.py` makes an exit status of its own.

Several hosts must save the same step, and hear of it at different moments, or one of them alone. jax's coordination
service brings them to agree, within about a second and a step or two.
"""

from __future__ import annotations

import contextlib
import itertools
import signal
import threading
from collections.abc import Callable, Iterator
from typing import Any

import jax
from absl import logging
from jax.experimental import multihost_utils

EXIT_STATUS = 75
"""Of a run that was told to end, and saved: EX_TEMPFAIL of sysexits.h, "try again". The same command goes on."""


class Preempted(RuntimeError):
    """Training was told to end, and has saved; the message names the step.

    Attributes:
      step: of the checkpoint.
    """

    def __init__(self, step: int, steps: int):
        super().__init__(
            f"told to end (SIGTERM): step {step} of {steps} is saved; run the same command again to go on from it"
        )
        self.step = step


@contextlib.contextmanager
def notice_of_end() -> Iterator[Callable[[int], bool]]:
    """Within, SIGTERM does not end the process; yields `reached(step)`, to be asked once after every step.

    `reached` returns whether the state of this step is to be saved and training to end, on all hosts at the same step.
    A second signal does what it did before: it ends the process at once. (Of several hosts, once `reached` was true.)

    In a thread that is not the main one nothing changes, since Python takes signals in the main thread only.
    """
    if threading.current_thread() is not threading.main_thread():
        yield lambda _: False
        return
    if jax.distributed.is_initialized():
        # Calls are counted and not steps: a signal before the first sets 1 as the place to end, and the steps of a run
        # that goes on are past that.
        calls = itertools.count(1)
        yield lambda step: _agreed(next(calls), step)
        return
    before = signal.getsignal(signal.SIGTERM)
    told = threading.Event()

    def take(number: int, frame: Any) -> None:
        signal.signal(number, before)
        told.set()

    signal.signal(signal.SIGTERM, take)
    try:
        yield lambda _: told.is_set()
    finally:
        if not told.is_set():
            signal.signal(signal.SIGTERM, before)


def _agreed(call: int, step: int) -> bool:
    reached = multihost_utils.reached_preemption_sync_point(call)
    if reached:
        # jax has taken the signal in C++, and would swallow a second one.
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        logging.warning("told to end: all hosts save step %d", step)
    return reached
