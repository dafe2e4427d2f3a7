"""One replication: the running counterparts of the tree's objects, their parameters bound, from time 0 to the stop."""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from vlsm_jax.flexscript import CompiledCode, Fault, OutOfBudget, compile_program, syntax
from vlsm_jax.flexscript.values import to_float, to_int
from vlsm_jax.simulator import codebody, distributions
from vlsm_jax.simulator.distributions import DistributionError
from vlsm_jax.simulator.draws import Draws
from vlsm_jax.simulator.kernel import Calendar
from vlsm_jax.simulator.objects.combiner import Combiner
from vlsm_jax.simulator.objects.item import Item
from vlsm_jax.simulator.objects.processor import Processor
from vlsm_jax.simulator.objects.queue import Queue
from vlsm_jax.simulator.objects.resource import UNLIMITED, FixedResource, Hook
from vlsm_jax.simulator.objects.separator import DEFAULT_SPLIT, Separator
from vlsm_jax.simulator.objects.sink import Sink
from vlsm_jax.simulator.objects.source import Arrival, Source
from vlsm_jax.simulator.properties import TRIGGERS
from vlsm_jax.simulator.tree import Node
from vlsm_jax.simulator.world import World
from vlsm_jax.twin import Code, Distribution, ParameterValue

Duration = Callable[[Item | None], float]


class TraceEvent(NamedTuple):
    """One line of a trace: at `time`, `item` did `kind` ("entry" or "exit") at the object of that name."""

    time: float
    kind: str
    object: str
    item: int


class Simulation:
    """A model of one replication.

    Attributes:
      calendar: its time.
      resources: the running objects, in the order of the tree.
    """

    def __init__(
        self,
        world: World,
        nodes: Sequence[Node],
        names: Mapping[Node, str],
        *,
        seed: int,
        replication: int,
        codes: dict[tuple[Node, str], CompiledCode],
        trace: Callable[[TraceEvent], None] | None = None,
    ):
        self.world = world
        self.names = names
        self.seed = seed
        self.replication = replication
        self.calendar = Calendar(max_events=world.budget.events, check=self._check)
        self._codes = codes
        self._next_number = itertools.count(1).__next__
        world.draws = Draws(seed, replication)
        self.resources: dict[Node, FixedResource] = {node: self._create(node) for node in nodes}
        for node, resource in self.resources.items():
            resource.outputs = [self._receiver(wire.target) for wire in node.outputs]
            resource.peers = [peer for peer in resource.outputs if peer is not None]
            resource.inputs = [self._sender(wire.source) for wire in node.inputs]
            node.live = resource
            if isinstance(resource, Combiner):
                resource.set_targets(component_targets(node.settings.get("ComponentsList"), len(resource.inputs)))
            else:
                self._bind_pull(node, resource)
            resource.route = self._route(node, resource)
            self._bind_triggers(node, resource)
        for resource in self.resources.values():
            resource.simple = resource.route is None and not any(peer.pulls for peer in resource.peers)
            if trace is not None:
                _attach(trace, resource)

    def close(self) -> None:
        """Takes the running objects off the tree."""
        for node in self.resources:
            node.live = None

    def run(self, until: float, warmup: float) -> None:
        """Runs from time 0; what happens before `warmup` is left out of the statistics. Raises `Fault`."""
        self._reset_triggers()
        for resource in self.resources.values():
            resource.start()
        if warmup > 0:
            self.calendar.run(warmup)
            for resource in self.resources.values():
                resource.clear_statistics()
        self.calendar.run(until)
        for resource in self.resources.values():
            resource.set_state(resource.state)

    def _check(self) -> None:
        self.world.machine.check_time()
        inside = sum(len(resource.items) for resource in self.resources.values())
        if inside > self.world.budget.items:
            fullest = max(self.resources.values(), key=lambda resource: len(resource.items))
            raise OutOfBudget(
                f"more than {self.world.budget.items} items are in the model, {len(fullest.items)} of them in "
                f"{fullest.name!r}",
                hint="raise Budget.items, or give the slowest object more capacity",
            )

    def _receiver(self, node: Node) -> FixedResource | None:
        resource = self.resources.get(node)
        return None if isinstance(resource, Source) else resource

    def _sender(self, node: Node) -> FixedResource:
        """Returns a running object; for one that gets no items, an idle one that keeps its port number."""
        return self.resources.get(node) or FixedResource(self.calendar, node, node.name)

    # --- Creation -----------------------------------------------------------------------------------------------------

    def _create(self, node: Node) -> FixedResource:
        name = self.names[node]
        return _CREATE[node.cls.name](self, node, name)

    def setting(self, node: Node, name: str) -> ParameterValue | None:
        """Returns what a script set, else the default."""
        value = node.settings.get(name)
        return value if value is not None else node.cls.default(name)

    def number(self, node: Node, name: str) -> float:
        """Returns a property as a number; code is evaluated once, at reset."""
        value = self.setting(node, name)
        if isinstance(value, (int, float)):
            return float(value)
        if isinstance(value, Code):
            return to_float(self.code(node, name, value).run(node))
        if isinstance(value, Distribution):
            return next(self._sampler(node, name, value, -math.inf))
        return to_float(value)

    def count(self, node: Node, name: str) -> int:
        """Returns a property as a whole number; at least 0, at most what counts as unlimited."""
        value = self.number(node, name)
        return max(0, int(value)) if value < UNLIMITED else UNLIMITED

    def duration(self, node: Node, name: str) -> Duration:
        """Returns the function that gives the next duration; negative ones count as 0."""
        value = self.setting(node, name)
        if isinstance(value, Distribution):
            # `next` takes a default, which is never needed here: it lets the item pass as the argument.
            return functools.partial(next, self._sampler(node, name, value, 0.0))
        if isinstance(value, Code):
            run = self.code(node, name, value).run

            def interpret(item: Item | None) -> float:
                seconds = to_float(run(node, (item,)))
                return seconds if seconds > 0 else 0.0

            return interpret
        return functools.partial(next, itertools.repeat(max(0.0, to_float(value))))

    def _sampler(self, node: Node, name: str, value: Distribution, minimum: float) -> Iterator[float]:
        try:
            generator = distributions.stream(self.seed, self.replication, self.names[node], name)
            return distributions.sampler(value, generator, minimum=minimum)
        except DistributionError as error:
            raise Fault(f"{name} of {self.names[node]!r}: {error}", code="distribution") from None

    def code(self, node: Node, name: str, value: Code) -> CompiledCode:
        """Returns a code body, compiled; raises `Fault` when it does not compile."""
        compiled = self._codes.get((node, name))
        if compiled is None:
            compiled = compile_body(self.world, self.names[node], name, value)
            self._codes[node, name] = compiled
        return compiled

    def source(self, node: Node, name: str) -> Source:
        """Returns a running Source."""
        source = Source(self.calendar, node, name, self.duration(node, "InterArrivalTime"), self._next_number)
        source.at_time_zero = bool(self.number(node, "TimeZeroArrival"))
        style = self.setting(node, "ArrivalStyle")
        if style != "Inter-Arrival Time":
            table = "ArrivalSchedule" if style == "Arrival Schedule" else "ArrivalSequence"
            source.in_sequence = style == "Arrival Sequence"
            source.rows = arrivals(node.settings.get(table), source.in_sequence)
            source.repeats = bool(self.number(node, "RepeatTable")) and any(row.quantity for row in source.rows)
        return source

    def queue(self, node: Node, name: str) -> Queue:
        """Returns a running Queue."""
        queue = Queue(self.calendar, node, name, self.count(node, "MaxContent"))
        queue.newest_first = bool(self.number(node, "LIFO"))
        if self.number(node, "DoBatching"):
            queue.batch = max(1, self.count(node, "BatchSize"))
            queue.patience = max(0.0, self.number(node, "MaxBatchTime"))
            queue.flush = bool(self.number(node, "FlushContent"))
        return queue

    def processor(self, node: Node, name: str) -> Processor:
        """Returns a running Processor."""
        setup, process = self._times(node)
        return Processor(self.calendar, node, name, self.count(node, "MaxContent"), setup, process)

    def combiner(self, node: Node, name: str) -> Combiner:
        """Returns a running Combiner."""
        setup, process = self._times(node)
        return Combiner(self.calendar, node, name, setup, process, str(self.setting(node, "CombineMode")))

    def separator(self, node: Node, name: str) -> Separator:
        """Returns a running Separator."""
        setup, process = self._times(node)
        splits = self.setting(node, "SeparateMode") == "Split"
        if node.settings.get("SeparateQty") is None:
            if splits:
                self.world.warn("assumed", f"SeparateQty of {name!r} is not set; {DEFAULT_SPLIT} is assumed")
            quantity = None
        else:
            quantity = self._whole(node, "SeparateQty") or (lambda item: 0)
        return Separator(self.calendar, node, name, setup, process, splits, quantity, self._next_number)

    def _times(self, node: Node) -> tuple[Duration | None, Duration]:
        setup = None if self.setting(node, "SetupTime") == 0 else self.duration(node, "SetupTime")
        return setup, self.duration(node, "ProcessTime")

    def sink(self, node: Node, name: str) -> Sink:
        """Returns a running Sink."""
        return Sink(self.calendar, node, name)

    # --- Flow and triggers --------------------------------------------------------------------------------------------

    def _whole(self, node: Node, name: str) -> Callable[[Item | None], int] | None:
        """Returns a property that is a port or a flag as a function of the item; None for a constant 0."""
        value = self.setting(node, name)
        if isinstance(value, Distribution):
            values = self._sampler(node, name, value, -math.inf)
            return lambda item: to_int(next(values))
        if isinstance(value, Code):
            run = self.code(node, name, value).run
            return lambda item: to_int(run(node, (item,)))
        number = to_int(value)
        return (lambda item: number) if number else None

    def _bind_pull(self, node: Node, resource: FixedResource) -> None:
        if self.number(node, "Pull") if self.setting(node, "Pull") is not None else 0:
            resource.pulls = True
            strategy = self._whole(node, "PullStrategy")
            if strategy is not None:
                resource.pull_port = lambda: strategy(None)
            requirement = self._whole(node, "PullRequirement")
            if requirement is None or node.settings.get("PullRequirement") is not None:
                resource.pull_requirement = requirement or (lambda item: 0)

    def _route(self, node: Node, resource: FixedResource) -> Callable[[Item], int] | None:
        route = self._whole(node, "SendToPort")
        if route is None or isinstance(resource, Sink):
            return None
        count, name, world = len(resource.outputs), self.names[node], self.world

        def checked(item: Item) -> int:
            port = route(item)
            if port > count:
                world.warn("port", f"SendToPort of {name!r} gives port {port}, but there are {count}; the item stays")
            return port

        return checked

    def _bind_triggers(self, node: Node, resource: FixedResource) -> None:
        for key, value in node.settings.items():
            if not key.startswith(TRIGGERS):
                continue
            trigger = key.removeprefix(TRIGGERS)
            attribute = _TRIGGERS.get(trigger)
            if attribute is not None and hasattr(resource, attribute):
                setattr(resource, attribute, self._hook(node, key, value))
            elif trigger != "OnReset":
                self.world.warn(
                    "unsupported", f"{key} of {self.names[node]!r} is not run: the trigger is not supported here"
                )

    def _hook(self, node: Node, key: str, value: ParameterValue) -> Hook | None:
        if not isinstance(value, Code):
            return None
        run = self.code(node, key, value).run
        return lambda item, port: run(node, (item, port))

    def _reset_triggers(self) -> None:
        for node in self.resources:
            value = node.settings.get(f"{TRIGGERS}OnReset")
            if isinstance(value, Code):
                self.code(node, f"{TRIGGERS}OnReset", value).run(node)


_CREATE = {
    "Source": Simulation.source,
    "Queue": Simulation.queue,
    "Processor": Simulation.processor,
    "Combiner": Simulation.combiner,
    "Separator": Simulation.separator,
    "Sink": Simulation.sink,
}
_TRIGGERS = {
    "OnCreation": "on_creation",
    "OnEntry": "on_entry",
    "OnExit": "on_exit",
    "OnProcessFinish": "on_process_finish",
    "OnSetupFinish": "on_setup_finish",
    "OnEndCollecting": "on_batch",
}


def compile_body(world: World, owner: str, name: str, value: Code) -> CompiledCode:
    """Compiles the code body of a property; raises `Fault` with its first error when it does not compile."""
    label = f"{name} of {owner!r}"
    compiled = compile_program(codebody.parsed(value.text, label), world.vocabulary, world.machine, world.dialect)
    for finding in compiled.diagnostics:
        if finding.severity.value == "error":
            fault = Fault(finding.message.removeprefix(f"in {label}: "), code=finding.code, hint=finding.hint)
            fault.source = compiled.source
            fault.at = sum(len(line) + 1 for line in value.text.split("\n")[: finding.line - 1]) + finding.column - 1
            raise fault
    return compiled


def arrivals(value: ParameterValue | None, in_sequence: bool) -> tuple[Arrival, ...]:
    """Reads an arrival table: rows [time, name, quantity] of a schedule, [name, quantity] of a sequence."""
    if value is None:
        return (Arrival(0.0, "Product", 1),)
    expression = codebody.parse_expression(value.text) if isinstance(value, Code) else None
    if type(expression) is not syntax.ArrayLiteral:
        raise Fault("an arrival table is an array of rows", code="value", hint='such as [[0, "Product", 1]]')
    rows = []
    for row in expression.items:
        cells = [getattr(cell, "value", 0) for cell in getattr(row, "items", ())]
        if in_sequence:
            cells.insert(0, 0)
        time, name, quantity = (*cells, 0, "", 1)[:3] if len(cells) >= 3 else (*cells, *(0, "", 1)[len(cells) :])
        rows.append(Arrival(max(0.0, to_float(time)), name if isinstance(name, str) else "", max(0, to_int(quantity))))
    return tuple(rows)


def component_targets(value: ParameterValue | None, ports: int) -> list[int]:
    """Reads how many items each input port of a Combiner gives: 1 for the first, 1 where the table has no row."""
    quantities: list[int] = []
    expression = codebody.parse_expression(value.text) if isinstance(value, Code) else None
    if type(expression) is syntax.ArrayLiteral:
        for row in expression.items:
            cells = [getattr(cell, "value", 0) for cell in getattr(row, "items", (row,))]
            quantities.append(next((max(0, to_int(cell)) for cell in cells if not isinstance(cell, str)), 1))
    elif isinstance(value, tuple):
        quantities = [max(0, to_int(quantity)) for quantity in value]
    elif value is not None:
        raise Fault("ComponentsList is an array with one quantity per input port from the second on", code="value")
    return ([1, *quantities] + [1] * ports)[:ports]


def _attach(trace: Callable[[TraceEvent], None], resource: FixedResource) -> None:
    """Reports every entry and exit of an object, before its own triggers."""
    calendar, name = resource.calendar, resource.name

    def traced(kind: str, hook: Hook | None) -> Hook:
        def report(item: Item, port: int) -> Any:
            trace(TraceEvent(calendar.now, kind, name, item.number))
            if hook is not None:
                hook(item, port)

        return report

    resource.on_entry = traced("entry", resource.on_entry)
    resource.on_exit = traced("exit", resource.on_exit)
