"""A trace of some steps, for TensorBoard's profiler (XProf) and Perfetto."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import jax
from absl import logging

from vlsm_jax.training.config import ConfigError


class StepProfiler:
    """Traces steps, and those alone: the device is waited for before the first of them and after the last.

    A run that goes on behind the first of them, as a job that was started again does, traces nothing.

    Args:
      steps: the first and the last; None traces nothing.
      folder: where the trace goes.
      start: the first step of this run.
      pause: what surrounds the beginning of a trace, and its writing.
    """

    def __init__(
        self,
        steps: tuple[int, int] | None,
        folder: Path,
        start: int = 1,
        pause: Callable[[], AbstractContextManager[None]] = contextlib.nullcontext,
    ):
        self._first, self._last = steps or (0, 0)
        if 0 < self._first < start:
            logging.info("no trace: step %d of --profile_steps is over, the next is %d", self._first, start)
        self._folder, self._pause = Path(folder), pause
        self._annotation: Any = None
        self._tracing = False

    def begin(self, step: int, before: Any) -> None:
        """Begins a step; `before` are results of the steps that still run."""
        if step == self._first:
            jax.block_until_ready(before)
            options = jax.profiler.ProfileOptions()
            # Calls of Python functions would be nine tenths of the trace, and slow what is traced.
            options.python_tracer_level = 0
            with self._pause():
                jax.profiler.start_trace(str(self._folder), profiler_options=options)
            self._tracing = True
        if self._tracing:
            self._annotation = jax.profiler.StepTraceAnnotation("train", step_num=step)
            self._annotation.__enter__()

    def end(self, step: int, result: Any) -> None:
        """Ends a step, of which `result` is what it gives."""
        if not self._tracing:
            return
        self._annotation.__exit__(None, None, None)
        if step == self._last:
            jax.block_until_ready(result)
            with self._pause():
                self.close()

    def close(self) -> None:
        """Writes what there is of a trace that has begun."""
        if self._tracing:
            self._tracing = False
            jax.profiler.stop_trace()
            logging.info("trace of steps %d to %d: %s", self._first, self._last, self._folder)


def parse_steps(text: str) -> tuple[int, int] | None:
    """Returns the first and the last step of "10:15", which has both; None of "".

    Raises:
      ConfigError: it is of another form, or ends before it begins.
    """
    if not text:
        return None
    match = re.fullmatch(r"(\d+):(\d+)", text)
    if match is None or not 1 <= int(match[1]) <= int(match[2]):
        raise ConfigError(
            f"--profile_steps={text}: write the first and the last step to be traced, counted from 1, such as 10:15"
        )
    return int(match[1]), int(match[2])


def check_steps(steps: tuple[int, int] | None, last: int) -> None:
    """Raises ConfigError when a run of `last` steps never comes to all those that are to be traced."""
    if steps is not None and steps[1] > last:
        raise ConfigError(f"--profile_steps={steps[0]}:{steps[1]}: this run ends at step {last}")
