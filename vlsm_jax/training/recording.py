"""What training keeps of its steps until the device is asked for it, and where it goes then."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import jax
import numpy as np
from absl import logging

from vlsm_jax.training.logs import MetricsFile, Progress
from vlsm_jax.training.step import StepMetrics


class Recorder:
    """Metrics of steps, read from the device many at a time, since reading waits for it.

    Every host has one and reads alike; only the first writes and shows progress.

    A window is what lies between two readings: speed is what happened in it over how long it took.
    """

    def __init__(self, workdir: Path, first: int, steps: int):
        """Records the steps after `first`, up to `steps`."""
        lead = jax.process_index() == 0
        self._file = MetricsFile(Path(workdir) / "metrics.jsonl", first) if lead else None
        self._progress = Progress(steps, first) if lead else None
        self._first = first
        self._pending: list[tuple[int, StepMetrics]] = []
        self._latest: tuple[int, StepMetrics] | None = None
        self.start_window()

    def start_window(self) -> None:
        """Begins to measure anew; what went on since the last reading, such as validation, is in no window."""
        self._began, self._tokens, self._steps = time.monotonic(), 0, 0

    def add(self, step: int, metrics: StepMetrics, host_batch: Mapping[str, np.ndarray]) -> None:
        """Takes what a step will report, on the device, and this host's rows of its batch."""
        self._pending.append((step, metrics))
        self._tokens += int((host_batch["segment_ids"] > 0).sum()) * jax.process_count()
        self._steps += 1

    def read(self) -> Iterator[tuple[int, StepMetrics]]:
        """Waits for the device, and yields step and metrics of every step since the last reading, as host values."""
        values = [(step, jax.device_get(metrics)) for step, metrics in self._pending]
        self._seconds = time.monotonic() - self._began
        self._pending.clear()
        yield from values

    def write(self, step: int, metrics: StepMetrics) -> None:
        """Writes what one step reported."""
        self._latest = (step, metrics)
        if self._file is not None:
            self._file.write(step, "train", **{key: float(value) for key, value in metrics._asdict().items()})

    def end_window(self) -> None:
        """Writes and shows the speed of the steps that were read last, and starts the next window."""
        if self._file is not None and self._progress is not None and self._latest is not None:
            step, metrics = self._latest
            speed = self._tokens / self._seconds
            if step > self._first + 1:  # the first window is mostly compilation
                per_step = self._seconds / self._steps
                self._file.write(step, "speed", tokens_per_second=speed, seconds_per_step=per_step)
            self._progress.update(
                step - self._progress.done,
                loss=float(metrics.loss),
                accuracy=float(metrics.accuracy),
                tokens_per_second=speed,
            )
        self.start_window()

    def validated(self, step: int, values: Mapping[str, float]) -> None:
        """Writes what validation found, and starts the next window."""
        if self._file is not None:
            self._file.write(step, "validation", **values)
            logging.info("step %d: validation loss %.4f accuracy %.4f", step, values["loss"], values["accuracy"])
        self.start_window()

    def close(self) -> None:
        """Ends the file and the progress bar."""
        if self._progress is not None:
            self._progress.close()
        if self._file is not None:
            self._file.close()
