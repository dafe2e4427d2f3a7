"""What keeps a run whole: updates that are not finite are left out, and losses that jump are named.

An update whose loss or gradients hold an infinity, or what is no number, changes neither parameters nor optimizer
state: Adam's counts and the place in the learning rate's schedule stay as well, as if the batch had not been there.
Only the step moves on, since it says which batch comes next, and a run ends after as many batches as it should.
"""

from __future__ import annotations

import collections
import statistics
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from absl import logging

from vlsm_jax.training.step import StepMetrics, TrainState

WINDOW, LEAST = 100, 20
"""Losses that a new one is measured against: the last 100, once there are 20."""

FACTOR, DEVIATIONS = 1.5, 6.0
"""A loss has jumped when it is over 1.5 times the median and over 6 standard deviations (those of a normal distribution
with the same median deviation) from it. Either alone would cry at random: losses of small batches scatter widely, and
those of a model that knows its data are many times one another."""

_NAMED = 16


class NonFiniteLoss(RuntimeError):
    """Loss or gradients stayed infinite or not a number; the message names steps, samples, and what to try."""


class LossGuard:
    """Watches the steps of a run as they are read from the device.

    Every host has one, and all decide alike; only the first names samples and logs.

    Args:
      most_skipped: so many updates in a row that were not finite end the run.
      name_samples: place of a batch in the data to the names of its samples; called only for what has to be named.
      note: called with step, kind ("skipped" or "jump") and values for the log.
    """

    def __init__(
        self,
        most_skipped: int,
        name_samples: Callable[[Any], Sequence[str]],
        note: Callable[..., None],
    ):
        self._most_skipped, self._name_samples, self._note = most_skipped, name_samples, note
        self._places: dict[int, Any] = {}
        self._losses: collections.deque[float] = collections.deque(maxlen=WINDOW)
        self._skipped: list[int] = []
        self._lead = jax.process_index() == 0

    def expect(self, step: int, place: Any) -> None:
        """Takes where in the data the batch of a step begins."""
        self._places[step] = place

    def see(self, step: int, metrics: StepMetrics, state: TrainState | None = None) -> None:
        """Takes what a step reported; steps come in their order.

        Args:
          step, metrics: of the step, on the host.
          state: after it or later; looked at where the run has to end.

        Raises:
          NonFiniteLoss: it was the last of too many in a row that were not finite.
        """
        place = self._places.pop(step, None)
        loss = float(metrics.loss)
        if metrics.skipped:
            self._skip(step, loss, metrics, place)
            if len(self._skipped) >= self._most_skipped:
                raise self._error(step, metrics, place, state)
            return
        self._skipped.clear()
        if len(self._losses) >= LEAST:
            median = statistics.median(self._losses)
            spread = 1.4826 * statistics.median(abs(x - median) for x in self._losses)
            if loss > FACTOR * median and loss > median + DEVIATIONS * spread:
                names = self._names(place)
                self._note(step, "jump", loss=loss, median=median, samples=names)
                self._warn(
                    "step %d: the loss jumped to %.4g, %.1f times the median of the last %d, %.4g; samples %s",
                    *(step, loss, loss / median, len(self._losses), median, _listed(names)),
                )
        self._losses.append(loss)

    def _skip(self, step: int, loss: float, metrics: StepMetrics, place: Any) -> None:
        self._skipped.append(step)
        names = self._names(place)
        self._note(step, "skipped", loss=loss, gradient_norm=float(metrics.gradient_norm), samples=names)
        self._warn(
            "step %d: %s; the update is left out (%d in a row, %d end the run); samples %s",
            *(step, _found(metrics), len(self._skipped), self._most_skipped, _listed(names)),
        )

    def _error(self, step: int, metrics: StepMetrics, place: Any, state: TrainState | None) -> NonFiniteLoss:
        said = (
            f"{len(self._skipped)} updates in a row, steps {self._skipped[0]} to {step}, were not finite: in the last "
            f"{_found(metrics)}. "
        )
        broken = [] if state is None else not_finite({**state.frozen, **state.trained})
        if broken:
            return NonFiniteLoss(
                f"{said}These parameters are not finite: {_listed(broken)}; look at where the run starts, model.init"
            )
        return NonFiniteLoss(
            f"{said}Parameters are as before step {self._skipped[0]}. If the run is young, try a lower "
            "optimizer.learning_rate or a longer optimizer.warmup_steps; if it had learnt well, look at the samples of "
            f"these batches ({_listed(self._names(place))}); train.most_skipped lets more go by"
        )

    def _names(self, place: Any) -> list[str]:
        return list(self._name_samples(place)) if self._lead and place is not None else []

    def _warn(self, message: str, *values: Any) -> None:
        if self._lead:
            logging.warning(message, *values)


def not_finite(params: Mapping[str, jax.Array]) -> list[str]:
    """Returns the names of those parameters that hold an infinity or what is no number."""
    names = sorted(name for name, value in params.items() if jnp.issubdtype(value.dtype, jnp.floating))
    found = jax.jit(lambda arrays: [jnp.isfinite(x).all() for x in arrays])([params[name] for name in names])
    return [name for name, fine in zip(names, jax.device_get(found), strict=True) if not fine]


def _found(metrics: StepMetrics) -> str:
    if np.isfinite(metrics.loss):
        return f"the norm of the gradients is {metrics.gradient_norm}"
    return f"the loss is {metrics.loss}"


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(names[:_NAMED])
    return shown + (f" and {len(names) - _NAMED} more" if len(names) > _NAMED else "")
