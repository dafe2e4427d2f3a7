"""PMR, the share of a reference's parameters that a candidate reproduces."""

from __future__ import annotations

import math
from collections.abc import Collection

from vlsm_jax.simulator import property_default
from vlsm_jax.twin import Distribution, ParameterValue, Twin

RELATIVE_TOLERANCE = 1e-9
"""Numbers this close are the same: a script may compute 0.3 as 0.1 + 0.2."""


def pmr(reference: Twin, candidate: Twin | None, unstated: Collection[str] = ()) -> float:
    """Returns the parameter match rate of arXiv 2512.20387, in 0..1.

    A parameter is a property that the reference's script set, so locations are none. It matches when the candidate has
    an object of that name with that property at the same value: numbers agree, distributions agree in name and
    arguments (`exponential(0, 10)` against `exponential(0, 15)` is a miss, and so is the number 10), texts and code
    agree letter by letter. A property that the candidate leaves alone has its class default, which matches if the
    reference set that very value. Further parameters of the candidate are not punished. A reference without parameters
    gives 1.

    Args:
      candidate: None where the script built nothing: 0.
      unstated: parameters that do not count, each as "<object>.<Property>": those that the prompt leaves out, so that
        nobody could have set them. Other entries, such as "connections", name no parameter and change nothing.
    """
    if candidate is None:
        return 0.0
    left_out = frozenset(unstated)
    total = matched = 0
    for obj in reference.objects:
        other = candidate.by_name.get(obj.name)
        for name, value in obj.parameters.items():
            if left_out and f"{obj.name}.{name}" in left_out:
                continue
            total += 1
            if other is not None:
                found = other.parameters.get(name)
                if found is None:
                    found = property_default(other.cls, name)
                matched += found is not None and same_value(value, found)
    return matched / total if total else 1.0


def same_value(reference: ParameterValue, candidate: ParameterValue) -> bool:
    """Says whether two parameter values are of the same type and equal, numbers within `RELATIVE_TOLERANCE`."""
    if isinstance(reference, Distribution) and isinstance(candidate, Distribution):
        return reference.name == candidate.name and _same_numbers(reference.arguments, candidate.arguments)
    if isinstance(reference, tuple) and isinstance(candidate, tuple):
        return _same_numbers(reference, candidate)
    if isinstance(reference, (int, float)) and isinstance(candidate, (int, float)):
        return _same_numbers((reference,), (candidate,))
    return type(reference) is type(candidate) and reference == candidate


def _same_numbers(reference: tuple[float, ...], candidate: tuple[float, ...]) -> bool:
    return len(reference) == len(candidate) and all(
        math.isclose(a, b, rel_tol=RELATIVE_TOLERANCE) for a, b in zip(reference, candidate, strict=True)
    )
