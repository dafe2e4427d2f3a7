"""The figures of two runs side by side, as text for a reader."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from vlsm_jax.simulator.listing import duration

MAX_STATIONS = 5
NOTHING = "–"

Kpis = Mapping[str, Any]


class KpiRow(NamedTuple):
    """One figure of the reference's and of the candidate's run; an en dash where a run has none."""

    label: str
    reference: str
    candidate: str


def compare_kpis(reference: Kpis | None, candidate: Kpis | None) -> list[KpiRow]:
    """Returns the figures that an engineer asks for first; empty where neither script ran.

    Args:
      reference: `Kpis.to_dict()` of the reference's run, or None.
      candidate: the same of the candidate's run.
    """
    runs = (reference, candidate)
    if reference is None and candidate is None:
        return []
    rows = [_row("Throughput per hour", runs, lambda kpis: _estimate(kpis["total_throughput"], _number))]
    sinks = _names(runs, "throughput")
    if len(sinks) > 1:
        rows.extend(
            _row(f"at {name}", runs, lambda kpis, name=name: _estimate(kpis["throughput"].get(name), _number))
            for name in sinks
        )
    rows.append(_row("Lead time", runs, lambda kpis: _estimate(kpis["lead_time"], duration)))
    rows.append(_row("Items in the model, average", runs, lambda kpis: _estimate(kpis["wip"], _number)))
    rows.append(_row("Bottleneck", runs, lambda kpis: kpis["bottleneck"] or NOTHING))
    rows.extend(
        _row(f"Utilisation of {name}", runs, lambda kpis, name=name: _estimate(_utilisation(kpis, name), _percent))
        for name in _busiest(runs)
    )
    return rows


def _row(label: str, runs: tuple[Kpis | None, Kpis | None], read: Callable[[Kpis], str]) -> KpiRow:
    return KpiRow(label, *(NOTHING if kpis is None else read(kpis) for kpis in runs))


def _estimate(value: Mapping[str, Any] | None, write: Callable[[float], str]) -> str:
    if value is None:
        return NOTHING
    text = write(value["mean"])
    return text if value["half_width"] is None else f"{text} ± {write(value['half_width'])}"


def _number(value: float) -> str:
    return f"{value:.0f}" if value >= 1000 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def _percent(value: float) -> str:
    return f"{100 * value:.1f}\u00a0%"


def _names(runs: tuple[Kpis | None, Kpis | None], field: str) -> list[str]:
    return list(dict.fromkeys(name for kpis in runs if kpis is not None for name in kpis[field]))


def _utilisation(kpis: Kpis, name: str) -> Mapping[str, Any] | None:
    return kpis["objects"].get(name, {}).get("utilisation")


def _busiest(runs: tuple[Kpis | None, Kpis | None]) -> list[str]:
    """Returns the stations that are busiest in either run, the busiest first."""
    peak = {}
    for name in _names(runs, "objects"):
        values = [_utilisation(kpis, name) for kpis in runs if kpis is not None]
        known = [value["mean"] for value in values if value is not None]
        if known:
            peak[name] = max(known)
    return sorted(peak, key=lambda name: -peak[name])[:MAX_STATIONS]
