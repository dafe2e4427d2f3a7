"""Sampling factories: an industry, a layout, and parameters under which every station has work it can keep up with."""

from __future__ import annotations

import dataclasses
import math

import numpy as np

from vlsm_jax.simulator.report import Report
from vlsm_jax.synth.distributions import ARRIVALS, CONSTANT, SERVICES, Duration, draw_duration, mean_of, round_number
from vlsm_jax.synth.factory import AUTOMATION, FEATURES, Factory
from vlsm_jax.synth.industries import INDUSTRIES, Station
from vlsm_jax.synth.industries import industry as industry_named
from vlsm_jax.synth.layouts import LAYOUTS
from vlsm_jax.synth.layouts import layout as layout_named
from vlsm_jax.synth.loads import utilisations
from vlsm_jax.synth.topologies import PLANS, SOURCE, Plan, Stage, object_names, plan_connections
from vlsm_jax.twin import Distribution, ParameterValue, Twin, TwinObject

HIGHEST_LOAD = 0.92
"""Upper bound of the utilisation of a sampled station."""

BUSIEST_LOAD = (0.55, 0.88)
"""Between these the busiest station is aimed at, before round numbers."""

LAST_LANE = 1.04
"""The load of lanes that share their work, over what they could carry with one lane less."""

PLACEMENTS = ("Stack Vertically", "Horizontal Line", "Stack Inside Queue")
NUMBERINGS = (" {}", "{}")
TRIES = 200
TRIES_PER_PLAN = 12


Parameters = dict[str, ParameterValue]


def _service(station: Station, rng: np.random.Generator) -> Duration:
    kind = str(rng.choice(SERVICES))
    return draw_duration(kind, rng.uniform(*station.seconds), rng)


def _processor_parameters(station: Station, rng: np.random.Generator) -> Parameters:
    out: Parameters = {"ProcessTime": _service(station, rng)}
    if station.setup is not None and rng.random() < 0.7:
        out["SetupTime"] = round_number(rng.uniform(*station.setup))
    places = int(rng.choice(station.places))
    if places > 1:
        out["MaxContent"] = places
    return out


def _queue_parameters(station: Station, rng: np.random.Generator) -> Parameters:
    out: Parameters = {"MaxContent": int(rng.choice(station.places))}
    if rng.random() < 0.55:
        out["ItemPlacement"] = str(rng.choice(PLACEMENTS))
        if rng.random() < 0.6:
            out["StackBaseZ"] = float(rng.choice((0.1, 0.2, 0.3, 0.4, 0.5, 1)))
    if station.lifo and rng.random() < 0.3:
        out["LIFO"] = 1
    return out


def _stage_parameters(stage: Stage, alike: bool, rng: np.random.Generator) -> list[Parameters]:
    """Returns the parameters of each object of a stage; those of Sources come later, they depend on the rest."""
    if stage.station is None:
        return [{} for _ in range(stage.lanes)]
    draw = _processor_parameters if stage.cls == "Processor" else _queue_parameters
    if alike:
        return [draw(stage.station, rng)] * stage.lanes
    return [draw(stage.station, rng) for _ in range(stage.lanes)]


def _has_to_choose(plan: Plan, index: int, rng: np.random.Generator) -> bool:
    """Whether a stage of one object chooses at random which lane an item takes.

    It has to where lanes start with Queues: the first of them would take all. Where long lanes start with Processors it
    may; else the first free one takes the item.
    """
    if index + 1 == len(plan) or plan[index].lanes > 1 or plan[index + 1].lanes == 1:
        return False
    depth = sum(stage.lanes > 1 for stage in plan[index + 1 :])
    return plan[index + 1].cls == "Queue" or (depth > 1 and rng.random() < 0.5)


def _interarrival_kind(rng: np.random.Generator) -> str:
    return str(rng.choice(ARRIVALS, p=(0.2, 0.35, 0.15, 0.15, 0.15)))


def _twin(plan: Plan, names: list[list[str]], parameters: list[list[Parameters]], layout: str) -> Twin:
    objects = [
        TwinObject(stage.cls, name, parameters=values)
        for stage, members, rows in zip(plan, names, parameters, strict=True)
        for name, values in zip(members, rows, strict=True)
    ]
    twin = Twin(tuple(objects), tuple(plan_connections(names)))
    locations = LAYOUTS[layout].locations(twin)
    return Twin(
        tuple(dataclasses.replace(o, location=locations[o.name], parameters=dict(o.parameters)) for o in objects),
        twin.connections,
    )


def _sample_twin(plan: Plan, layout: str, rng: np.random.Generator) -> Twin | None:
    """Returns one try at parameters for a plan; None when some station would get too much or a lane too little."""
    names = object_names(plan, str(rng.choice(NUMBERINGS)))
    alike = bool(rng.random() < 0.85)
    parameters = [_stage_parameters(stage, alike, rng) for stage in plan]
    for index, stage in enumerate(plan):
        if _has_to_choose(plan, index, rng):
            choice = Distribution("duniform", (1, plan[index + 1].lanes))
            parameters[index] = [dict(row, SendToPort=choice) for row in parameters[index]]
        if stage.cls == SOURCE:
            parameters[index] = [dict(row, InterArrivalTime=1) for row in parameters[index]]

    # Utilisations at one arrival per second are, to the cap of what a head lets through, proportional to the rate.
    busiest = max(utilisations(_twin(plan, names, parameters, layout)).values())
    mean = busiest / rng.uniform(*BUSIEST_LOAD)
    kind = _interarrival_kind(rng)
    arrival = draw_duration(kind, mean, rng)
    while mean_of(arrival) < mean * 0.9:
        mean *= 1.1
        arrival = draw_duration(kind, mean, rng)
    for index, stage in enumerate(plan):
        if stage.cls == SOURCE:
            parameters[index] = [dict(row, InterArrivalTime=arrival) for row in parameters[index]]
    twin = _twin(plan, names, parameters, layout)
    loads = utilisations(twin)
    return twin if max(loads.values()) <= HIGHEST_LOAD and _lanes_have_work(twin, loads) else None


def _lanes_have_work(twin: Twin, loads: dict[str, float]) -> bool:
    """Whether every lane is needed where the first free one of several Processors takes the item.

    The last lane gets an item when all others are busy. With regular arrivals that happens only when the others could
    not carry the load alone, so that is asked for.
    """
    for obj in twin.objects:
        outputs = twin.ports[obj.name].outputs
        if len(outputs) < 2 or "SendToPort" in obj.parameters:
            continue
        places = [int(twin.by_name[name].parameters.get("MaxContent", 1)) for name in outputs]
        offered = loads[outputs[0]] * sum(places)
        if offered < LAST_LANE * (sum(places) - min(places)):
            return False
    return True


def sample_factory(
    rng: np.random.Generator,
    *,
    industry: str | None = None,
    layout: str | None = None,
    automation: str | None = None,
    fewest: int = 3,
    most: int = 40,
    features: tuple[str, ...] | None = None,
    avoid_pairs: frozenset[tuple[str, str]] = frozenset(),
) -> Factory:
    """Returns a factory of `fewest` to `most` objects, drawn from `rng` alone, in which nothing starves.

    Every Processor is busy less than `HIGHEST_LOAD` of the time by the traffic equations, normal distributions have a
    mean of at least four standard deviations, and locations follow the rule of the layout.

    Args:
      rng: the only source of chance; it is advanced.
      industry: key of an industry, None for any.
      layout: key of a layout, None for any.
      automation: one of `AUTOMATION`, None for any.
      fewest: number of objects at least.
      most: number of objects at most, 6 or more.
      features: which of `FEATURES` may occur, None for all.
      avoid_pairs: pairs of families that do not follow each other along the flow.

    Raises:
      ValueError: an industry, layout, automation or feature that does not exist, or `most` below 6.
      RuntimeError: no plan took parameters under which all stations keep up.
    """
    if most < 6:
        raise ValueError(f"most is {most}; two parallel lanes with Source and Sink on each take 6 objects")
    if fewest > most:
        raise ValueError(f"fewest is {fewest} and most {most}; fewest must not be above most")
    if automation is not None and automation not in AUTOMATION:
        raise ValueError(f"there is no automation {automation!r}; choose one of {', '.join(AUTOMATION)}")
    for feature in features or ():
        if feature not in FEATURES:
            raise ValueError(f"there is no feature {feature!r}; choose of {', '.join(FEATURES)}")
    industry = industry or str(rng.choice(list(INDUSTRIES)))
    layout = layout or str(rng.choice(list(PLANS)))
    table, kind = industry_named(industry), layout_named(layout)
    for _ in range(TRIES):
        plan = PLANS[kind.key](table, rng)
        if not fewest <= sum(stage.lanes for stage in plan) <= most:
            continue
        for _ in range(TRIES_PER_PLAN):
            twin = _sample_twin(plan, layout, rng)
            if twin is not None and avoid_pairs.isdisjoint(timing_pairs(twin)):
                return Factory(twin, industry, layout, "manual")
    raise RuntimeError(f"no factory of industry {industry!r} and layout {layout!r} came out of {TRIES} plans")


def _timed(obj: TwinObject) -> str:
    value = obj.parameters.get("InterArrivalTime" if obj.cls == "Source" else "ProcessTime")
    return "" if value is None else value.name if isinstance(value, Distribution) else CONSTANT


def timing_pairs(twin: Twin) -> frozenset[tuple[str, str]]:
    """Returns the pairs of families of consecutive timed objects along the flow, that of the arrivals included."""
    out: set[tuple[str, str]] = set()
    for obj in twin.objects:
        kind = _timed(obj)
        stack, seen = [obj.name] if kind else [], {obj.name}
        while stack:
            for name in twin.ports[stack.pop()].outputs:
                following = _timed(twin.by_name[name])
                if following:
                    out.add((kind, following))
                elif name not in seen:
                    seen.add(name)
                    stack.append(name)
    return frozenset(out)


def horizon(factory: Factory | Twin, items: int = 40) -> float:
    """Returns for how many seconds to run a factory so that about `items` items arrive at each Source and flow through.

    Between one hour and eight; rounded up to whole hours.
    """
    twin = factory.twin if isinstance(factory, Factory) else factory
    gap = max(mean_of(obj.parameters.get("InterArrivalTime", 10)) for obj in twin.objects if obj.cls == "Source")
    through = sum(
        mean_of(obj.parameters.get("ProcessTime", 10)) + mean_of(obj.parameters.get("SetupTime", 0))
        for obj in twin.objects
        if obj.cls == "Processor"
    )
    return float(min(max(math.ceil((items * gap + 2 * through) / 3600), 1), 8) * 3600)


def check_run(factory: Factory, report: Report) -> str:
    """Returns why a run shows that a factory is no good example, "" when it is one."""
    if not report.ok or report.kpis is None:
        return report.verdict.value
    if report.diagnostics:
        return f"a warning: {report.diagnostics[0].code}"
    for obj in factory.twin.objects:
        statistics = report.kpis.objects.get(obj.name)
        if obj.cls in ("Queue", "Processor", "Sink") and (statistics is None or statistics.input.mean == 0):
            return "an object that no item reaches"
    return ""
