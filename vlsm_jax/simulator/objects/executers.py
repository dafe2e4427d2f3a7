"""How task executers are made of their settings, and how a model gets transport, operators and paths."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from vlsm_jax.flexscript.values import to_float
from vlsm_jax.simulator.objects import operators, transport
from vlsm_jax.simulator.objects.drivers import Operator, Transporter
from vlsm_jax.simulator.objects.executer import TaskExecuter, Timing
from vlsm_jax.simulator.objects.item import Item
from vlsm_jax.simulator.objects.network import Network, has_paths
from vlsm_jax.simulator.objects.resource import UNLIMITED
from vlsm_jax.simulator.objects.special_executers import ASRSvehicle, Crane, Elevator, Robot
from vlsm_jax.simulator.tree import Node
from vlsm_jax.twin import Code

if TYPE_CHECKING:
    from vlsm_jax.simulator.binding import Binding

NEW_ONLY = "New Tasksequences Only"

CLASSES: Mapping[str, type[TaskExecuter]] = MappingProxyType({
    "TaskExecuter": TaskExecuter,
    "BasicTE": TaskExecuter,
    "AGV": TaskExecuter,
    "Operator": Operator,
    "Transporter": Transporter,
    "Robot": Robot,
    "Crane": Crane,
    "ASRSvehicle": ASRSvehicle,
    "Elevator": Elevator,
})  # fmt: skip
"""The running counterpart of each class. An AGV is a task executer that is bound to control points."""


def _creator(cls: type[TaskExecuter]) -> Callable[[Binding, Node, str], TaskExecuter]:
    def create(binding: Binding, node: Node, name: str) -> TaskExecuter:
        executer = cls(binding.calendar, node, name)
        executer.capacity = min(UNLIMITED, max(1, binding.count(node, "Capacity")))
        executer.load_time = _timing(binding, node, "LoadTime")
        executer.unload_time = _timing(binding, node, "UnloadTime")
        executer.speed = binding.number(node, "MaxSpeed")
        executer.acceleration = max(0.0, binding.number(node, "Acceleration"))
        executer.deceleration = max(0.0, binding.number(node, "Deceleration"))
        executer.travels_offsets = _travels_offsets(binding, node, name)
        executer.break_to = _break_to(binding, node, name)
        if not binding.flag(node, "AvailableOnStart"):
            binding.world.warn("unsupported", f"AvailableOnStart of {name!r} is 0, which has no effect here")
        executer.configure(binding)
        return executer

    return create


CREATORS = MappingProxyType({name: _creator(cls) for name, cls in CLASSES.items()})


def prepare(binding: Binding, actions: Any) -> None:
    """Gives stations their transport and operators, and executers their paths, once all of them are there.

    Args:
      binding: of the run.
      actions: what executers do beyond themselves; see `TaskExecuter.extras`.
    """
    executers = []
    for node, live in binding.live.items():
        transport.assign(binding, node, live)
        operators.assign(binding, node, live)
        if isinstance(live, TaskExecuter):
            live.extras = actions
            executers.append(live)
    if not executers or not has_paths(binding.names):
        return
    network = Network(binding.names, binding.world.tree.attachments)
    for node in binding.names:
        if node.settings.get("MaxTravelers") is not None:
            name = binding.names[node]
            binding.world.warn("unsupported", f"MaxTravelers of {name!r} has no effect: any number may stand there")
    for executer in executers:
        nodes = network.attached.get(executer.node)
        if nodes:
            executer.network = network
            executer.at_node = nodes[0]


def _timing(binding: Binding, node: Node, name: str) -> Timing:
    """Returns LoadTime or UnloadTime as a function of the item and the station."""
    value = binding.setting(node, name)
    if isinstance(value, Code):
        run = binding.code(node, name, value).run

        def interpret(item: Item, station: Any) -> float:
            seconds = to_float(run(node, (item, station)))
            return seconds if seconds > 0 else 0.0

        return interpret
    draw = binding.duration(node, name)
    return lambda item, station: draw(item)


def _travels_offsets(binding: Binding, node: Node, name: str) -> bool:
    option = binding.setting(node, "OffsetTravel")
    if option in ("Travel Offsets", "Use Navigator", None):
        if option == "Use Navigator":
            binding.world.warn("unsupported", f"OffsetTravel of {name!r}: offsets are travelled in a straight line")
        return True
    if option == "Block Network Space":
        binding.world.warn("unsupported", f"OffsetTravel of {name!r}: nobody is blocked on the network")
    return False


def _break_to(binding: Binding, node: Node, name: str) -> Callable[..., Any] | None:
    """Returns BreakTo as a function of the active sequence; None for the default."""
    value = node.settings.get("BreakTo")
    if value is None or value == NEW_ONLY:
        return None
    if isinstance(value, Code):
        run = binding.code(node, "BreakTo", value).run
        return lambda *parameters: run(node, parameters)
    if isinstance(value, (int, float)) and value == 0:
        return lambda *parameters: None
    message = f"BreakTo of {name!r} is {value!r}, which is not supported; {NEW_ONLY!r} is taken"
    binding.world.warn("unsupported", message, "give code that returns a task sequence, or 0 for none")
    return None
