"""Processes that take turns: each side of a comparison does one step while the others sleep.

A side is a process of its own, which waits for a line and answers with one of JSON. Its step returns a dict; seconds,
processor seconds and the peak of the process's memory are added.
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

THREADS = 2
"""Of every side."""


def serve(make_step: Callable[[], Callable[[], dict[str, Any]]]) -> None:
    """Runs as the process of one side: a step for every line that comes in, a line of JSON for every step."""
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever libraries print goes elsewhere
    step = make_step()
    for _ in sys.stdin:
        before, began = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
        line = step()
        seconds, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_SELF)
        processor = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        line = {"seconds": seconds, "processor": processor, "peak": after.ru_maxrss / 1024} | line
        print(json.dumps(line), file=out, flush=True)


WAITS = "BENCHMARK_WAITS"
"""Name of the variable that has a process wait for a line before it begins."""


def wait_for_turn() -> None:
    """Returns when a line comes in, where one is to be waited for: what a process does before runs beside others."""
    if os.environ.pop(WAITS, ""):  # for this process, and none that it starts
        sys.stdin.readline()


class Side:
    """The process of one side.

    Args:
      name: of the side.
      command: of its process.
      environment: variables beside this process's own.
      log: where what it prints goes.
    """

    def __init__(self, name: str, command: Sequence[str], environment: Mapping[str, str], log: Path):
        self.name, self._log = name, log
        with log.open("w") as errors:
            self.process = subprocess.Popen(
                command,
                env={**os.environ, **environment},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
            )

    def turn(self) -> dict[str, Any]:
        """Does one step; raises RuntimeError with the end of its log when the process ends instead."""
        try:
            self.process.stdin.write("\n")
            self.process.stdin.flush()
            line = self.process.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            raise RuntimeError(f"{self.name} ended:\n{self._log.read_text()[-3000:]}")
        return json.loads(line)


@contextlib.contextmanager
def started(
    script: str, names: Sequence[str], folder: Path, settled: Callable[[str], bool], arguments: Sequence[str] = ()
) -> Iterator[list[Side]]:
    """Starts the sides of a comparison, and ends their processes.

    Args:
      script: the benchmark, which serves a side with `--side` and `--folder`.
      names: of the sides.
      folder: what they read; their logs go there.
      settled: whether a side has the settings of `vlsm_jax.cpu_settings`.
      arguments: more of them, for all sides.
    """
    from vlsm_jax.cpu_settings import SETTINGS

    base = {"JAX_PLATFORMS": "cpu", "OMP_NUM_THREADS": str(THREADS), "TOKENIZERS_PARALLELISM": "false"}
    sides: list[Side] = []
    try:
        for name in names:
            command = [sys.executable, script, "--side", name, "--folder", str(folder), *arguments]
            sides.append(Side(name, command, base | (SETTINGS if settled(name) else {}), folder / f"{name}.log"))
        yield sides
    finally:
        for side in sides:
            side.process.stdin.close()
            side.process.terminate()
            side.process.wait()


def take_turns(sides: Sequence[Side], rounds: int) -> tuple[dict[str, dict], dict[str, dict], dict[str, list[dict]]]:
    """Returns the first step of every side, which compiles, the second, which warms up, and those of `rounds`."""
    first = {side.name: side.turn() for side in sides}  # one after another: compiling, too, has the machine alone
    second = {side.name: side.turn() for side in sides}
    turns: dict[str, list[dict]] = {side.name: [] for side in sides}
    for number in range(rounds):
        for side in sides if number % 2 == 0 else reversed(sides):
            turns[side.name].append(side.turn())
    return first, second, turns
