"""Properties that a script sets while the model runs; what it set before the run holds again after a reset.

Only what takes effect from the next use on may be changed: times, capacities, routes, a belt's speed. All else is
refused by name.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from vlsm_jax.flexscript import Unsupported
from vlsm_jax.simulator.objects.combiner import Combiner, component_targets
from vlsm_jax.simulator.objects.conveyor import Conveyor
from vlsm_jax.simulator.objects.processor import Processor
from vlsm_jax.simulator.objects.queue import Queue
from vlsm_jax.simulator.objects.resource import FixedResource
from vlsm_jax.simulator.objects.separator import Separator
from vlsm_jax.simulator.objects.source import Source
from vlsm_jax.simulator.objects.storage import Storage
from vlsm_jax.simulator.tree import Node
from vlsm_jax.twin import Code, ParameterValue

if TYPE_CHECKING:
    from vlsm_jax.simulator.binding import Binding, Duration
    from vlsm_jax.simulator.world import World

Change = Callable[[Any, "Binding", Node], None]


def change(world: World, node: Node, name: str, setting: ParameterValue) -> None:
    """Sets a property of a running object; raises `Unsupported` for one that cannot change during a run."""
    binding, live = world.binding, node.live
    act = next((_CHANGES[cls, name] for cls in type(live).__mro__ if (cls, name) in _CHANGES), None)
    if act is None or binding is None:
        raise Unsupported(f"setting {name} of a {node.cls.name} while the model runs is not supported", hint=_HINT)
    before = node.settings.get(name)
    if act is _capacity:
        live.room -= binding.count(node, name)
    binding.keep(node, name, before)
    node.settings[name] = setting
    act(live, binding, node)


_HINT = "set it before the run"


def _duration(binding: Binding, node: Node, name: str) -> Duration:
    """Returns what gives a time that was changed: a distribution that comes again goes on where it was."""
    value = node.settings[name]
    if isinstance(value, (int, float)):
        return binding.duration_of(node, name, value)
    known = binding.changed_times
    if (node, name, value) not in known:
        known[node, name, value] = binding.duration_of(node, f"{name} (change {len(known) + 1})", value)
    return known[node, name, value]


def _process_time(live: Processor, binding: Binding, node: Node) -> None:
    live.process = _duration(binding, node, "ProcessTime")


def _setup_time(live: Processor, binding: Binding, node: Node) -> None:
    live.setup = None if node.settings["SetupTime"] == 0 else _duration(binding, node, "SetupTime")
    live.crew = live.crew  # finds out anew whether items can be processed at once


def _interval(live: Source, binding: Binding, node: Node) -> None:
    live.interval = _duration(binding, node, "InterArrivalTime")


def _capacity(live: FixedResource, binding: Binding, node: Node) -> None:
    # What the capacity was is taken from the room already; items that are too many stay.
    live.room += binding.count(node, "MaxContent")
    live.calendar.after(0.0, live.receive)


def _nothing(live: FixedResource, binding: Binding, node: Node) -> None:
    """A property without effect on this class."""


def _route(live: FixedResource, binding: Binding, node: Node) -> None:
    live.route = None
    if isinstance(node.settings["SendToPort"], Code):
        binding.forget(node, "SendToPort")
    live.bind_route(binding)
    live.settle_flow()


def _requirement(live: FixedResource, binding: Binding, node: Node) -> None:
    binding.forget(node, "PullRequirement")
    binding.forget(node, "PullStrategy")
    live.pull_port = live.pull_requirement = None
    live.bind_pull(binding)
    live.calendar.after(0.0, live.receive)


def _speed(live: Conveyor, binding: Binding, node: Node) -> None:
    live.change_speed(binding.number(node, "Speed"))


def _batch_size(live: Queue, binding: Binding, node: Node) -> None:
    if live.batch:
        live.batch = max(1, binding.count(node, "BatchSize"))


def _order(live: Queue, binding: Binding, node: Node) -> None:
    live.newest_first = binding.flag(node, "LIFO")


def _components(live: Combiner, binding: Binding, node: Node) -> None:
    live.change_targets(component_targets(node.settings["ComponentsList"], len(live.inputs)))


_CHANGES: Mapping[tuple[type, str], Change] = MappingProxyType({
    (Source, "InterArrivalTime"): _interval,
    (Processor, "ProcessTime"): _process_time,
    (Processor, "SetupTime"): _setup_time,
    (Processor, "MaxContent"): _capacity,
    (Queue, "MaxContent"): _capacity,
    (Queue, "BatchSize"): _batch_size,
    (Queue, "LIFO"): _order,
    (Storage, "MaxContent"): _capacity,
    (Combiner, "MaxContent"): _nothing,
    (Combiner, "ComponentsList"): _components,
    (Separator, "MaxContent"): _nothing,
    (Conveyor, "Speed"): _speed,
    (FixedResource, "SendToPort"): _route,
    (FixedResource, "PullRequirement"): _requirement,
    (FixedResource, "PullStrategy"): _requirement,
})  # fmt: skip
"""How a running object takes a change, by its class and the property."""
