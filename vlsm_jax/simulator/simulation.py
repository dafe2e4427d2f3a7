"""One replication: the running counterparts of the tree's objects, from time 0 to the stop."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

from vlsm_jax.flexscript import CompiledCode, OutOfBudget
from vlsm_jax.simulator.binding import Binding
from vlsm_jax.simulator.kernel import Calendar
from vlsm_jax.simulator.objects import (
    basic,
    breakdowns,
    combiner,
    conveyor,
    dispatcher,
    executers,
    multiprocessor,
    processor,
    queue,
    separator,
    sink,
    source,
    storage,
    timetable,
)
from vlsm_jax.simulator.objects.executer import TaskExecuter
from vlsm_jax.simulator.objects.item import Item
from vlsm_jax.simulator.objects.live_object import Hook, LiveObject
from vlsm_jax.simulator.objects.resource import FixedResource
from vlsm_jax.simulator.objects.source import Source
from vlsm_jax.simulator.properties import TRIGGERS
from vlsm_jax.simulator.task_actions import TaskActions
from vlsm_jax.simulator.tree import Node
from vlsm_jax.simulator.world import World
from vlsm_jax.twin import Code

CREATORS: Mapping[str, Callable[[Binding, Node, str], LiveObject]] = MappingProxyType({
    "Source": source.create,
    "Queue": queue.create,
    "Processor": processor.create,
    "Combiner": combiner.create,
    "Separator": separator.create,
    "Sink": sink.create,
    "StraightConveyor": conveyor.create,
    "CurvedConveyor": conveyor.create,
    "Rack": storage.create,
    "FloorStorage": storage.create,
    "GravityFlowRack": storage.create,
    "PushBackRack": storage.create,
    "DriveInRack": storage.create,
    "MultiProcessor": multiprocessor.create,
    "BasicFR": basic.create,
    "Dispatcher": dispatcher.create,
    **executers.CREATORS,
})  # fmt: skip
"""How a running object of each class is made of its settings. Objects of other classes can be built, but not run."""

_TRIGGERS = {
    "OnCreation": "on_creation",
    "OnEntry": "on_entry",
    "OnExit": "on_exit",
    "OnProcessFinish": "on_process_finish",
    "OnSetupFinish": "on_setup_finish",
    "OnEndCollecting": "on_batch",
    "OnEndDwellTime": "on_end_dwell",
    "OnStop": "on_stop",
    "OnResume": "on_resume",
    "OnLoad": "on_load",
    "OnUnload": "on_unload",
    "OnReceiveTaskSequence": "on_receive",
    "OnResourceAvailable": "on_available",
}


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
      binding: what settings mean in it.
      objects: the running objects, in the order of the tree.
      resources: those among them that items flow through.
      downtimes: breakdowns and time tables that stop objects.
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
        # Often enough that a small budget of items is not overrun by more than a tenth between two looks at it.
        self.calendar = Calendar(
            max_events=world.budget.events, check=self._check, check_every=world.budget.items // 20
        )
        world.draws = world.draws.again(seed, replication)
        world.binding = self.binding = binding = Binding(
            world, self.calendar, names, seed=seed, replication=replication, codes=codes
        )
        self.objects: dict[Node, LiveObject] = binding.live
        for node in nodes:
            self.objects[node] = node.live = CREATORS[node.cls.name](binding, node, names[node])
        self.resources = {n: live for n, live in self.objects.items() if isinstance(live, FixedResource)}
        for node, resource in self.resources.items():
            resource.outputs = [self._receiver(wire.target) for wire in node.outputs]
            resource.peers = [peer for peer in resource.outputs if peer is not None]
            resource.inputs = [self._sender(wire.source) for wire in node.inputs]
        executers.prepare(binding, TaskActions(binding))
        for node, live in self.objects.items():
            live.connect(binding)
            self._bind_triggers(node, live)
        for live in self.objects.values():
            if isinstance(live, FixedResource):
                live.settle_flow()
            if trace is not None:
                _attach(trace, live)
        self.downtimes = (*breakdowns.bind(binding), *timetable.bind(binding))

    def close(self) -> None:
        """Takes the running objects off the tree."""
        self.world.binding = None
        self.binding.restore()
        for node, live in self.objects.items():
            node.live = None
            if isinstance(live, TaskExecuter):
                live.go_home()

    def dismantle(self) -> None:
        """Takes the running objects apart, for good, as `World.dismantle` does."""
        for live in self.objects.values():
            live.dismantle()
        self.calendar.heap.clear()
        self.objects.clear()
        vars(self).clear()

    def run(self, times: Sequence[float], warmup: float) -> Iterator[float]:
        """Runs from time 0 to each of some times in turn, and yields it; raises `Fault`.

        What happens before `warmup`, which is before the first of them, is left out of the statistics.
        """
        self.world.warmup, self.world.counted_from = warmup, 0.0
        self._reset_triggers()
        for live in self.objects.values():
            live.start()
        for downtime in self.downtimes:
            downtime.start()
        if warmup > 0:
            self.calendar.run(warmup)
            for live in self.objects.values():
                live.clear_statistics()
            self.world.counted_from = warmup
        for time in times:
            self.calendar.run(time)
            for live in self.objects.values():
                live.settle()
            yield time

    @property
    def arrived(self) -> bool:
        """Whether an item has come to a Sink since the warm-up."""
        return any(live.received for live in self.objects.values() if isinstance(live, sink.Sink))

    def _check(self) -> None:
        self.world.machine.check_time()
        inside = sum(len(live.items) for live in self.objects.values())
        if inside > self.world.budget.items:
            fullest = max(self.objects.values(), key=lambda live: len(live.items))
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

    def _bind_triggers(self, node: Node, live: LiveObject) -> None:
        for key in node.settings:
            if not key.startswith(TRIGGERS):
                continue
            trigger = key.removeprefix(TRIGGERS)
            attribute = _TRIGGERS.get(trigger)
            if attribute is not None and hasattr(live, attribute):
                setattr(live, attribute, self.binding.hook(node, key))
            elif trigger not in ("OnReset", "OnMessage"):
                self.world.warn("unsupported", f"{key} of {live.name!r} is not run: the trigger is not supported here")

    def _reset_triggers(self) -> None:
        for node in self.objects:
            value = node.settings.get(f"{TRIGGERS}OnReset")
            if isinstance(value, Code):
                self.binding.code(node, f"{TRIGGERS}OnReset", value).run(node)


def _attach(trace: Callable[[TraceEvent], None], live: LiveObject) -> None:
    """Reports every entry and exit of an object, before its own triggers."""
    if not isinstance(live, (FixedResource, TaskExecuter)):
        return
    calendar, name = live.calendar, live.name

    def traced(kind: str, hook: Hook | None) -> Hook:
        def report(item: Item, port: int) -> Any:
            trace(TraceEvent(calendar.now, kind, name, item.number))
            if hook is not None:
                hook(item, port)

        return report

    live.on_entry = traced("entry", live.on_entry)
    live.on_exit = traced("exit", live.on_exit)
