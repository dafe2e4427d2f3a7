"""Writes plants with resources that move: objects by the centre of their base, connections of both kinds."""

from collections.abc import Mapping
from typing import Any

from vlsm_jax.simulator import Report, Verdict, run

SIZES = {
    "Source": (1.055, 1.055), "Queue": (2, 2), "Processor": (4, 3), "Combiner": (4.018, 3.011), "Separator": (1, 1),
    "Sink": (1.055, 1.055), "TaskExecuter": (2, 1), "Operator": (0.4, 0.58), "Transporter": (2.378, 1.371),
    "Robot": (1, 1), "Crane": (1, 1), "ASRSvehicle": (1, 1), "Elevator": (1, 1), "Dispatcher": (0.955, 1.498),
    "AGV::AGV": (1, 1),
}  # fmt: skip

INSTANT = {"MaxSpeed": 1, "Acceleration": 0, "Deceleration": 0}
"""One metre per second, at once: seconds are metres."""

STILL = {**INSTANT, "OffsetTravel": "Do Not Travel Offsets"}


def literal(value: Any) -> str:
    if isinstance(value, str):
        return '"' + value.replace('"', '\\"').replace("\n", "\\n") + '"'
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(map(literal, value)) + "]"
    return repr(value)


def plant(objects: Mapping[str, tuple], links: str, more: str = "") -> str:
    """Returns a script.

    Args:
      objects: name to (class, (x, y) or (x, y, z) of the centre of the base, {property: value}).
      links: "a>b" for an "A" connection, "a-b" for an "S" connection, in the order of drawing.
      more: FlexScript at the end.
    """
    lines = []
    for name, (cls, centre, properties) in objects.items():
        x, y, z = (*centre, 0)[:3]
        if cls in SIZES:
            x, y = x - SIZES[cls][0] / 2, y + SIZES[cls][1] / 2
        lines.append(f'Object {name} = Object.create("{cls}"); {name}.name = "{name}";')
        lines.append(f"{name}.location = Vec3({x!r}, {y!r}, {z!r});")
        lines.extend(f'{name}.setProperty("{key}", {literal(value)});' for key, value in properties.items())
    for link in links.split():
        key = "A" if ">" in link else "S"
        source, target = link.split(">" if key == "A" else "-")
        lines.append(f'contextdragconnection({source}, {target}, "{key}");')
    return "\n".join([*lines, more])


def traced(script: str, until: float, **options: Any) -> tuple[Report, list[tuple]]:
    """Runs a plant that must run well; returns the report and (time, kind, object, item) of every move."""
    events: list[tuple] = []
    report = run(script, until=until, trace=lambda event: events.append(tuple(event)), **options)
    assert report.verdict in (Verdict.OK, Verdict.NO_FLOW), report.diagnostics
    return report, events


def times(events: list[tuple], kind: str, name: str) -> list[float]:
    """Returns when items entered or left an object."""
    return [time for time, what, at, _ in events if (what, at) == (kind, name)]


def states(report: Report, name: str) -> dict[str, float]:
    """Returns the seconds in each state, those without time left out."""
    return {state: e.mean for state, e in report.kpis.objects[name].states.items() if e.mean > 1e-9}
