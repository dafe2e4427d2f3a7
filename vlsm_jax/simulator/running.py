"""A script to a Report: build it, check its wiring, run replications, put the figures together."""

from __future__ import annotations

import contextlib
import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from types import MappingProxyType
from typing import NamedTuple

from vlsm_jax.flexscript import CompiledCode, Diagnostic, Dialect, Fault, OutOfBudget, Severity
from vlsm_jax.simulator.building import build_world, fault_diagnostic, internal_error, unique_names
from vlsm_jax.simulator.constants import (
    IDLE,
    PROCESSING,
    SETUP,
    STATE_NAMES,
    STATES,
    WAITING_FOR_OPERATOR,
    WAITING_FOR_TRANSPORT,
    state_name,
)
from vlsm_jax.simulator.library import DISPATCHER, TASK_EXECUTER
from vlsm_jax.simulator.objects.executer import TaskExecuter
from vlsm_jax.simulator.objects.live_object import LiveObject
from vlsm_jax.simulator.objects.multiprocessor import MultiProcessor
from vlsm_jax.simulator.objects.processor import Processor
from vlsm_jax.simulator.objects.sink import Sink
from vlsm_jax.simulator.report import BuildResult, Report, Verdict
from vlsm_jax.simulator.simulation import Simulation, TraceEvent
from vlsm_jax.simulator.snapshot import Snapshot
from vlsm_jax.simulator.standstill import Cause, Standstill, describe, explain, stands_still
from vlsm_jax.simulator.statistics import Estimate, Kpis, ObjectStatistics, estimate, single
from vlsm_jax.simulator.tree import Node
from vlsm_jax.simulator.wiring import Wiring, examine
from vlsm_jax.simulator.world import Budget, World

STOP_TIME = 28800.0
"""Seconds that a model runs when neither the caller nor the script says otherwise: one shift of eight hours."""


def run(
    script: str,
    *,
    until: float | None = None,
    warmup: float = 0.0,
    replications: int = 1,
    seed: int = 0,
    budget: Budget = Budget(),
    trace: Callable[[TraceEvent], None] | None = None,
    dialect: Dialect = Dialect(),
    first_replication: int = 0,
) -> Report:
    """Builds and runs the factory that a script describes; never raises on any text.

    Args:
      script: FlexScript.
      until: stop time in seconds. None takes the script's own `stoptime(t)`, or `STOP_TIME` where it has none.
      warmup: seconds at the start that statistics leave out.
      replications: how many times the model runs, each with random streams of its own.
      seed: of the random streams; the same seed gives the same Report.
      budget: limits on steps, nodes, events and time.
      trace: called with a `TraceEvent` for every entry and exit in the first replication.
      dialect: choices where the public sources on FlexScript are silent or disagree.
      first_replication: number of the first one, which determines its random streams: replications 5 to 9 go on from
        an earlier call's 0 to 4.

    Raises:
      ValueError: the times or the number of replications make no sense.
    """
    if replications < 1 or first_replication < 0:
        raise ValueError(f"replications is {replications} from {first_replication} on; give at least 1, from 0 on")
    numbers = range(first_replication, first_replication + replications)
    built, world = build_world(script, budget, dialect)
    try:
        (report,) = _run(built, world, until, (), warmup, numbers, seed, trace)
        return report
    finally:
        world.dismantle()


def watch(
    script: str,
    times: Sequence[float],
    *,
    warmup: float = 0.0,
    seed: int = 0,
    budget: Budget = Budget(),
    dialect: Dialect = Dialect(),
) -> Iterator[Report]:
    """Runs a factory as `run` does, and yields what there is to report at each of some times; never raises on any text.

    The model is built once and goes on from time to time: who has seen enough stops asking. The Report of a time is
    that of `run` to this time. Before the last time, none is given while no item has arrived, or when nothing is due
    any more; what ends the run early is reported at once, as the last Report.

    Args:
      script: FlexScript.
      times: seconds, each later than the one before.
      warmup: seconds at the start that statistics leave out, less than the first of the times.
      seed, budget, dialect: as for `run`.

    Raises:
      ValueError: there are no times, or they make no sense.
    """
    if not times or any(a >= b for a, b in itertools.pairwise(times)) or not warmup < times[0]:
        raise ValueError(
            f"times are {tuple(times)}, with a warmup of {warmup}; give one or more, each later than before"
        )
    *looks, until = times
    built, world = build_world(script, budget, dialect)
    try:
        yield from _run(built, world, until, looks, warmup, range(1), seed, None)
    finally:
        world.dismantle()


def _run(
    built: BuildResult, world: World, until: float | None, looks: Sequence[float], warmup: float, replications: range,
    seed: int, trace: Callable[[TraceEvent], None] | None,
) -> Iterator[Report]:  # fmt: skip
    """Yields the Report of the end, and before it those of some looks in the only replication."""
    if not built.ok:
        yield Report(built.verdict, built.twin, built.diagnostics, None, built.output)
        return
    stop = until if until is not None else world.stop_time or STOP_TIME
    if not 0 <= warmup < stop < math.inf:
        raise ValueError(f"warmup is {warmup} and the stop time {stop}; expected 0 <= warmup < stop time, finite")
    objects = world.tree.objects()
    names = unique_names(objects)
    wiring = examine(objects, names)
    findings = [*built.diagnostics, *wiring.diagnostics]
    if not wiring.has_flow:
        yield Report(Verdict.WIRING, built.twin, tuple(findings), None, built.output)
        return
    if not wiring.runnable:
        yield Report(Verdict.RUN_ERROR, built.twin, tuple(findings), None, built.output)
        return
    warned = len(world.warnings)
    verdict, kpis, experiment = Verdict.OK, None, None
    try:
        before = Snapshot(world) if len(replications) > 1 else None
        experiment = _Experiment(world, wiring, names, stop, warmup, seed, before)
        for replication in replications:
            trace_it = trace if replication == replications[0] else None
            with contextlib.closing(experiment.replicate(replication, trace_it, looks)) as seen:
                for so_far in seen:
                    found = (*findings, *world.warnings[warned:])
                    yield Report(verdict, built.twin, found, so_far, tuple(world.machine.lines))
        kpis = experiment.kpis()
        if kpis.total_throughput.mean == 0:
            verdict = Verdict.NO_FLOW
            findings.append(experiment.no_flow())
        elif experiment.stands_still:
            findings.append(experiment.deadlock())
    except Fault as fault:
        verdict = Verdict.BUDGET if isinstance(fault, OutOfBudget) else Verdict.RUN_ERROR
        findings.append(fault_diagnostic(fault))
    except RecursionError:
        verdict = Verdict.BUDGET
        findings.append(Diagnostic("budget", Severity.ERROR, "a code body is nested too deeply to be run"))
    except Exception as error:  # a fault of this program, not of the script; tests look for its code
        verdict = Verdict.RUN_ERROR
        findings.append(internal_error(error))
    finally:
        if experiment is not None:
            experiment.dismantle()
    findings.extend(world.warnings[warned:])
    yield Report(verdict, built.twin, tuple(findings), kpis, tuple(world.machine.lines))


class _Experiment:
    """Replications of one model, and their figures so far."""

    def __init__(
        self, world: World, wiring: Wiring, names: dict[Node, str], until: float, warmup: float, seed: int,
        before: Snapshot | None,
    ):  # fmt: skip
        self.world = world
        self.before = before
        self.steps = world.machine.steps  # what building left; every replication may take that many
        reached = frozenset(wiring.reached)
        self.live = tuple(node for node in names if node in reached or node.cls.role in (TASK_EXECUTER, DISPATCHER))
        # A dispatcher has neither states nor statistics.
        self.nodes = tuple(node for node in self.live if node.cls.role != DISPATCHER)
        self.names = names
        self.until = until
        self.warmup = warmup
        self.seed = seed
        self.codes: dict[tuple[Node, str], CompiledCode] = {}
        self.figures: list[dict[Node, _Figures]] = []
        self.model: list[_ModelFigures] = []
        self.stands_still: Standstill | None = None
        self._last: Simulation | None = None

    def replicate(
        self, replication: int, trace: Callable[[TraceEvent], None] | None, looks: Sequence[float] = ()
    ) -> Iterator[Kpis]:
        """Runs one replication and keeps its figures; yields those of the only one at some looks; raises `Fault`."""
        machine = self.world.machine
        machine.end_run()  # the reset before a run empties the lists that the script filled
        machine.steps = self.steps
        machine.check()
        simulation = None
        try:
            simulation = Simulation(
                self.world, self.live, self.names,
                seed=self.seed, replication=replication, codes=self.codes, trace=trace,
            )  # fmt: skip
            self._last = simulation
            self.world.clock = simulation.calendar
            for time in simulation.run((*looks, self.until), self.warmup):
                if time < self.until and simulation.calendar.heap and simulation.arrived:
                    self._keep(simulation)
                    yield self.kpis(time)
                    self.figures.clear()
                    self.model.clear()
        finally:
            self.world.clock = None
            self.world.machine.end_run()
            if simulation is not None:
                simulation.close()
            if self.before is not None:
                self.before.restore()
        if self.stands_still is None and stands_still(simulation.objects.values(), len(simulation.calendar.heap)):
            found = explain(simulation.objects.values())
            called = any(live.shown_state in _CALLED for live in simulation.objects.values())
            lasting = found.cause is Cause.DEADLOCK or (found.cause is Cause.BLOCKED and called)
            self.stands_still = found if lasting else None
        self._keep(simulation)

    def _keep(self, simulation: Simulation) -> None:
        """Adds the figures of a replication so far."""
        self.figures.append({node: _figures_of(live) for node, live in simulation.objects.items()})
        self.model.append(_ModelFigures(simulation, simulation.calendar.now - self.warmup))

    def dismantle(self) -> None:
        """Takes the last replication apart, once nobody needs it any more."""
        if self._last is not None:
            self._last.dismantle()

    def kpis(self, until: float | None = None) -> Kpis:
        """Returns the figures of all replications together; `until` where they have not come to their end."""
        objects = {self.names[node]: self._object(node) for node in self.nodes}
        busiest = max(
            ((statistics.utilisation.mean, name) for name, statistics in objects.items() if statistics.utilisation),
            key=lambda pair: pair[0],
            default=(0.0, None),
        )
        sinks = [node for node in self.nodes if node.cls.name == "Sink"]
        throughput = {self.names[node]: _known([f[node].per_hour for f in self.figures]) for node in sinks}
        return Kpis(
            until=self.until if until is None else until,
            warmup=self.warmup,
            replications=len(self.figures),
            events=_known([m.events for m in self.model]),
            throughput=MappingProxyType(throughput),
            total_throughput=_known([sum(f[node].per_hour for node in sinks) for f in self.figures]),
            wip=_known([m.wip for m in self.model]),
            lead_time=estimate([m.lead_time for m in self.model]),
            lead_time_min=estimate([m.lead_time_min for m in self.model]),
            lead_time_max=estimate([m.lead_time_max for m in self.model]),
            bottleneck=busiest[1] if busiest[0] > 0 else None,
            objects=MappingProxyType(objects),
        )

    def _object(self, node: Node) -> ObjectStatistics:
        if len(self.figures) == 1:
            values, seconds, _, _ = self.figures[0][node]
            *numbers, utilisation = single(values)
            states = dict(zip(itertools.compress(STATE_NAMES, seconds), single(filter(None, seconds)), strict=True))
            return ObjectStatistics(node.cls.name, *numbers, MappingProxyType(states), utilisation)
        each = [figures[node] for figures in self.figures]
        *numbers, utilisation = map(estimate, zip(*[figures.numbers for figures in each], strict=True))
        longest = list(map(max, *(f.states for f in each)))
        occurred = itertools.compress(range(len(longest)), longest)
        states = {state_name(number): _known([f.states[number] for f in each]) for number in occurred}
        return ObjectStatistics(node.cls.name, *numbers, MappingProxyType(states), utilisation)

    def no_flow(self) -> Diagnostic:
        """Returns the finding that no item arrived, with where the items are instead."""
        last = self.figures[-1]
        held = [f"{figures.content:g} in {self.names[node]!r}" for node, figures in last.items() if figures.content]
        where = ", ".join(held[:5]) if held else "none was created"
        still = explain(self._last.objects.values())
        why, hint = describe(still)
        span = f"from {self.warmup:g} to {self.until:g} s" if self.warmup else f"within {self.until:g} s"
        message = f"no item reached a Sink {span}; items at the end: {where}" + (why and f"; {why}")
        return Diagnostic(still.cause.value, Severity.ERROR, message, hint=hint)

    def deadlock(self) -> Diagnostic:
        """Returns the finding that the model stood still before its end, though items had arrived."""
        why, hint = describe(self.stands_still)
        message = f"nothing moves any more after {self.stands_still.since:g} s: {why}"
        return Diagnostic(self.stands_still.cause.value, Severity.WARNING, message, hint=hint)


_CALLED = (WAITING_FOR_OPERATOR, WAITING_FOR_TRANSPORT)

_NOT_WORKING = (IDLE, *map(STATES.index, (
    "BREAKDOWN", "SCHEDULED_DOWN", "DOWN", "OFF_SHIFT", "REPAIR", "MAINTENANCE", "LUNCH", "ON_BREAK", "SUSPEND",
    "STANDBY", "STOPPED",
)))  # fmt: skip
"""States of a task executer that do not count as use of it."""


def _known(values: Sequence[float]) -> Estimate:
    result = estimate(values)
    assert result is not None
    return result


class _Figures(NamedTuple):
    """The statistics of one object in one replication, as plain numbers.

    Attributes:
      numbers: what `ObjectStatistics` has, in its order: input to staytime, then utilisation. None where there is none.
      states: seconds in each state, by its number.
      content: items inside at the end.
      per_hour: items that entered per hour; 0 for all but Sinks.
    """

    numbers: tuple[float | None, ...]
    states: list[float]
    content: int
    per_hour: float


def _figures_of(live: LiveObject) -> _Figures:
    observed = live.calendar.now - live.observed_from
    sent, state_time, content = live.sent, live.state_time, len(live.items)
    stays = (live.stay_least, live.stay_total / sent, live.stay_most) if sent else (None, None, None)
    utilisation = None
    if isinstance(live, Processor):
        utilisation = (state_time[PROCESSING] + state_time[SETUP]) / observed
    elif isinstance(live, MultiProcessor):
        working = {process.state for process in live.processes}
        utilisation = sum(state_time[state] for state in working) / observed
    elif isinstance(live, TaskExecuter):
        utilisation = 1.0 - sum([state_time[state] for state in _NOT_WORKING]) / observed
    numbers = (live.received, sent, content, live.content_time() / observed, live.most, *stays, utilisation)
    return _Figures(numbers, state_time, content, live.received * 3600.0 / observed if isinstance(live, Sink) else 0.0)


class _ModelFigures:
    """The figures of the model as a whole in one replication."""

    def __init__(self, simulation: Simulation, observed: float):
        sinks = [resource for resource in simulation.resources.values() if isinstance(resource, Sink)]
        arrived = sum(sink.received for sink in sinks)
        self.events = simulation.calendar.events
        self.wip = sum(resource.content_time() for resource in simulation.objects.values()) / observed
        self.lead_time = sum(sink.lead_total for sink in sinks) / arrived if arrived else None
        self.lead_time_min = min(sink.lead_least for sink in sinks) if arrived else None
        self.lead_time_max = max(sink.lead_most for sink in sinks) if arrived else None
