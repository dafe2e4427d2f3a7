"""What training keeps of its steps until the device is asked for it, what it makes of it, and where it goes then.

Lines of `metrics.jsonl`, and with the same names in TensorBoard and Weights & Biases, by their `kind`:

  train       of every step: loss, accuracy and whatever else `StepMetrics` has.
  speed       of the steps since the last such line, see `Window.figures`.
  validation  loss, accuracy, and the tokens they are over.
  compile     seconds of tracing, lowering and compiling since the last such line.
"""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
from absl import logging
from jax.sharding import Mesh

from vlsm_jax.training.clocks import CompileClock, StepClock, Turn, pace_of
from vlsm_jax.training.flops import BatchCounts, StepFlops
from vlsm_jax.training.hardware import chip_of
from vlsm_jax.training.logs import MetricsFile, Progress
from vlsm_jax.training.profiling import StepProfiler, check_steps
from vlsm_jax.training.step import StepMetrics
from vlsm_jax.training.writers import WRITERS, Writers

# Steps that the percentiles of their time are over: enough for one in twenty to be a few.
_RECENT = 100
# Seconds of compilation that are worth a line.
_LEAST_COMPILATION = 0.1


@dataclasses.dataclass(frozen=True)
class LogConfig:
    """Where metrics go besides `metrics.jsonl` and the terminal.

    Attributes:
      writers: any of "tensorboard" and "wandb".
      profile: first and last step to be traced into <workdir>/profile; None traces nothing.
    """

    writers: Sequence[str] = ("tensorboard",)
    profile: tuple[int, int] | None = None

    def __post_init__(self):
        given = [self.writers] if isinstance(self.writers, str) else self.writers
        # A command line gives "tensorboard,wandb" as one name.
        names = [name for entry in given for name in str(entry).replace(" ", "").split(",") if name]
        if unknown := [name for name in names if name not in WRITERS]:
            raise ValueError(f"writers: there is no {unknown[0]!r}; choose any of {', '.join(WRITERS)}")
        object.__setattr__(self, "writers", tuple(dict.fromkeys(names)))


@dataclasses.dataclass
class Window:
    """Some steps, and how long they took.

    Attributes:
      counts: what was in their batches, over all hosts.
      steps: how many.
      seconds: wall time, that of waiting for data included, and that of beginning a checkpoint.
      starved: of these, those in which the device had nothing to do until a batch came.
    """

    counts: BatchCounts = dataclasses.field(default_factory=BatchCounts)
    steps: int = 0
    seconds: float = 0.0
    starved: float = 0.0

    def plus(self, other: Window) -> Window:
        """Returns both together."""
        return Window(
            self.counts.plus(other.counts),
            self.steps + other.steps,
            self.seconds + other.seconds,
            self.starved + other.starved,
        )

    def figures(self, flops: StepFlops, peak: float | None) -> dict[str, float]:
        """Returns what is said of them.

        Args:
          flops: what a token and a picture take.
          peak: FLOP/s of all devices together; None where it is not known.

        Returns:
          tokens_per_second: those that are text or visual tokens.
          padded_tokens_per_second: all positions of all rows, which is what is computed.
          samples_per_second: triplets.
          seconds_per_step: the mean.
          data_wait: share of the time in which the device waited for a batch.
          flops_per_second: that tokens and pictures need (flops.py), by all devices.
          mfu: the same as a share of `peak`; padding earns nothing, nor do pairs of tokens of different samples.
          mfu_padded: as if every row were one sample that fills it.
        """
        useful = flops.useful(self.counts) / self.seconds
        figures = {
            "tokens_per_second": self.counts.tokens / self.seconds,
            "padded_tokens_per_second": self.counts.positions / self.seconds,
            "samples_per_second": self.counts.samples / self.seconds,
            "seconds_per_step": self.seconds / self.steps,
            "data_wait": self.starved / self.seconds,
            "flops_per_second": useful,
        }
        if peak is not None:
            figures |= {"mfu": useful / peak, "mfu_padded": flops.padded(self.counts) / self.seconds / peak}
        return figures


class Recorder:
    """Metrics of steps, read from the device many at a time, since reading waits for it.

    Every host has one and reads alike; only the first measures, writes and shows progress. To be used as a context.

    A window is what lies between two readings. The percentiles of steps' times are over the last hundred, the first
    step left out; a step takes from the end of the one before, on the device, to its own (clocks.py).

    Args:
      workdir: holds `metrics.jsonl` and what other writers write.
      first, last: steps before the first and the last that will be taken.
      flops: of the network.
      mesh: the devices that train.
      shares: parts that hosts read of every batch; the others' are taken to be like this one's.
      config: see there.
      facts: describe the run to those writers that show it.

    Raises:
      ConfigError: a writer does not start, or the run ends before the steps that are to be traced do.
    """

    def __init__(
        self,
        workdir: Path,
        first: int,
        last: int,
        *,
        flops: StepFlops,
        mesh: Mesh,
        shares: int = 1,
        config: LogConfig = LogConfig(),
        facts: Mapping[str, Any] | None = None,
    ):
        check_steps(config.profile, last)
        self._lead = jax.process_index() == 0
        self._first, self._flops, self._shares = first, flops, shares
        self._devices = [device for device in mesh.devices.flat if device.process_index == jax.process_index()]
        self._peak = _peak(mesh)
        self._pending: list[tuple[int, StepMetrics]] = []
        self._turns: list[Turn] = []
        self._window, self._all = Window(), Window()
        self._recent: collections.deque[float] = collections.deque(maxlen=_RECENT)
        self._latest: StepMetrics | None = None
        self._read = first
        if not self._lead:
            return
        self._file = MetricsFile(Path(workdir) / "metrics.jsonl", first)
        self._writers = Writers(config.writers, Path(workdir), first, facts or {})
        self._profiler = StepProfiler(config.profile, Path(workdir) / "profile", first + 1, self._pause)
        self._progress = Progress(last, first)
        self._clock, self._compilation = StepClock(), CompileClock()

    def __enter__(self) -> Recorder:
        self.start_window()
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()

    def start_window(self) -> None:
        """Begins to measure anew; what went on since the last reading, such as validation, is in no window."""
        self._window, self._paused = Window(), 0.0
        self._began = self._resumed = time.monotonic()

    def fetch(self, step: int, batches: Iterator[dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
        """Returns this host's rows of the next batch, that of `step`."""
        if self._lead:
            self._profiler.begin(step, self._pending)
        asked = time.monotonic()
        batch = next(batches)
        self._turns.append(Turn(self._resumed, asked, time.monotonic()))
        return batch

    def add(self, step: int, metrics: StepMetrics, host_batch: Mapping[str, np.ndarray]) -> None:
        """Takes what a step will report, on the device, and this host's rows of its batch."""
        self._pending.append((step, metrics))
        if self._lead:
            self._clock.add(metrics)
            self._profiler.end(step, metrics)
            counts = BatchCounts.of(host_batch, self._flops.window, self._flops.visual_tokens)
            self._window.counts = self._window.counts.plus(counts.times(self._shares))

    def read(self) -> Iterator[tuple[int, StepMetrics]]:
        """Waits for the device, and yields step and metrics of every step since the last reading, as host values."""
        steps = [step for step, _ in self._pending]
        values = jax.device_get([metrics for _, metrics in self._pending])
        self._read = steps[-1]
        self._window.steps, self._window.seconds = len(steps), time.monotonic() - self._began - self._paused
        if self._lead:
            pace = pace_of(self._began, self._turns, self._clock.take())
            self._window.starved = sum(pace.waits)
            self._recent.extend(pace.steps[1:] if steps[:1] == [self._first + 1] else pace.steps)
        self._pending.clear()
        self._turns.clear()
        yield from zip(steps, values, strict=True)

    def write(self, step: int, metrics: StepMetrics) -> None:
        """Writes what one step reported."""
        self._latest = metrics
        self.note(step, "train", **{key: float(value) for key, value in metrics._asdict().items() if value is not None})

    def note(self, step: int, kind: str, **values: Any) -> None:
        """Writes values of any kind; those that are no numbers stand in `metrics.jsonl` alone."""
        if self._lead:
            self._file.write(step, kind, **values)
            self._writers.write(step, kind, **values)

    def end_window(self) -> None:
        """Writes and shows how fast the steps were that were read last, and starts the next window."""
        if self._lead and self._latest is not None:
            step = self._read
            figures = self._window.figures(self._flops, self._peak)
            self._note_compilation(step)
            if step > self._first + 1:  # the first window is mostly compilation
                self._all = self._all.plus(self._window)
                self.note(step, "speed", **figures, **self._percentiles(), **peak_memory(self._devices))
            shown = {"loss": float(self._latest.loss), "accuracy": float(self._latest.accuracy)}
            shown |= {name: figures[name] for name in ("tokens_per_second", "mfu") if name in figures}
            self._progress.update(step - self._progress.done, **shown)
            self._writers.flush()
        self.start_window()

    def validated(self, step: int, values: Mapping[str, float]) -> None:
        """Writes what validation found, and starts the next window."""
        self.note(step, "validation", **values)
        if self._lead:
            self._note_compilation(step)
            logging.info("step %d: validation loss %.4f accuracy %.4f", step, values["loss"], values["accuracy"])
        self.start_window()

    def close(self) -> None:
        """Ends files, threads and the progress bar, and says how fast the whole run was."""
        if not self._lead:
            return
        self._profiler.close()
        self._clock.close()
        self._compilation.close()
        self._progress.close()
        self._file.close()
        self._writers.close()
        if self._all.steps:
            figures = {**self._all.figures(self._flops, self._peak), **self._percentiles()}
            logging.info(
                "%d steps: %s", self._all.steps, ", ".join(f"{name} {value:.4g}" for name, value in figures.items())
            )

    @contextlib.contextmanager
    def _pause(self) -> Iterator[None]:
        """What is done within is in no window, and in no step's time."""
        began = time.monotonic()
        yield
        self._resumed = time.monotonic()
        self._paused += self._resumed - began

    def _note_compilation(self, step: int) -> None:
        seconds = self._compilation.take()
        if seconds >= _LEAST_COMPILATION:
            self.note(step, "compile", seconds=seconds)

    def _percentiles(self) -> dict[str, float]:
        middle, slow = np.percentile(self._recent, (50, 95)) if self._recent else (np.nan, np.nan)
        return {"step_seconds_p50": float(middle), "step_seconds_p95": float(slow)}


def _peak(mesh: Mesh) -> float | None:
    """Returns the peak FLOP/s of the devices of a mesh together, or None."""
    chip = chip_of(mesh.devices.flat[0].device_kind)
    return None if chip is None else mesh.size * chip.flops


def describe_peak(mesh: Mesh) -> str:
    """Returns a line for the log: what MFU is counted against."""
    kind = mesh.devices.flat[0].device_kind
    chip = chip_of(kind)
    if chip is None:
        return f"no MFU: the peak FLOP/s of device kind {kind!r} is not known"
    return f"MFU is counted against {chip.flops / 1e12:.4g} TFLOP/s for each of {mesh.size} {kind}, dense bfloat16"


def peak_memory(devices: Sequence[jax.Device]) -> dict[str, int]:
    """Returns the most bytes in use so far: of the device that had most, or of this process if devices do not say."""
    stats = [device.memory_stats() for device in devices]
    peaks = [found["peak_bytes_in_use"] for found in stats if found and "peak_bytes_in_use" in found]
    if peaks:
        return {"peak_device_bytes": max(peaks)}
    try:
        import resource
    except ModuleNotFoundError:  # on Windows
        return {}
    unit = 1 if sys.platform == "darwin" else 1024
    return {"peak_process_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit}
