"""Connections as scripts draw them, and ports as scripts read them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from vlsm_jax.flexscript import Fault, Unsupported
from vlsm_jax.flexscript.values import describe, to_int
from vlsm_jax.flexscript.vocabulary import INT, NODE, OBJECT, Command
from vlsm_jax.simulator import pairs
from vlsm_jax.simulator.library import classes
from vlsm_jax.simulator.pairs import Meaning
from vlsm_jax.simulator.paths import Missing
from vlsm_jax.simulator.tools import Tool, add_member, remove_member
from vlsm_jax.simulator.tree import AutomaticNode, Node, Wire
from vlsm_jax.simulator.world import World

_KEYS = {"A": ("A", True), "Q": ("A", False), "S": ("S", True), "W": ("S", False)}


def drag(world: World, source: Any, target: Any, key: Any) -> int:
    """`contextdragconnection(from, to, key)`: A and S draw, Q and W remove a connection.

    What FlexSim accepts in silence is accepted with a warning: NULL at an end, classes that cannot be connected, a pair
    that is already connected, removing what is not there.
    """
    known = _KEYS.get(key) if type(key) is str else None
    if known is not None:
        if _ends(world, source, target) is None:
            return 0
        return _draw(world, source, target, known[0]) if known[1] else _erase(world, source, target, known[0])
    letter = _letter(key)
    if letter.upper() in ("D", "E"):
        world.warn("unsupported", "extended connections (D and E) are not kept")
        return 0
    if letter.upper() not in _KEYS:
        world.warn("connection", f"{letter!r} is no connection key; nothing is connected", "use A, S, Q or W")
        return 0
    if letter.islower():
        world.warn("connection", f"the key {letter!r} is in lower case", f"write {letter.upper()!r}")
    port, draws = _KEYS[letter.upper()]
    if _ends(world, source, target) is None:
        return 0
    return _draw(world, source, target, port) if draws else _erase(world, source, target, port)


def _letter(key: Any) -> str:
    if isinstance(key, str) and key:
        return key[0]
    if isinstance(key, (int, float)) and 32 < to_int(key) < 127:
        return chr(to_int(key))
    raise Fault(f"the key of a connection is a letter, not {describe(key)}", code="argument", hint='use "A" or "S"')


def _ends(world: World, source: Any, target: Any) -> tuple[Node, Node] | None:
    for end in (source, target):
        if end is None or isinstance(end, Missing):
            what = "NULL" if end is None else str(end)
            world.warn("null connection", f"one end of the connection is {what}; nothing is connected", "was it found?")
            return None
        if not isinstance(end, Node):
            raise Fault(f"a connection needs objects, not {describe(end)}", code="type")
        if end.cls is None or end.is_library or end.parent is None or end.automatic:
            world.warn("connection", f"{end.name!r} is not an object of the model; nothing is connected")
            return None
    return source, target


def _check_standing(world: World) -> None:
    """Raises `Unsupported` during a run: ways of items and teams are bound before it, so a change would do nothing."""
    if world.clock is not None:
        hint = "connect before the run; closeinput(), closeoutput() and SendToPort switch ways while it runs"
        raise Unsupported("changing connections while the model runs is not supported", hint=hint)


def _draw(world: World, source: Node, target: Node, port: str) -> int:
    if port == "A":
        _check_standing(world)
        purpose = pairs.meaning(source, target)
        if purpose is None:
            return _unsupported(world, source, target, 'with "A"', pairs.hint(source, target))
        if purpose is Meaning.MEMBER and (isinstance(source, Tool) or isinstance(target, Tool)):
            tool, member = (source, target) if isinstance(source, Tool) else (target, source)
            return add_member(world, tool, member)
    else:
        purpose = None
        if not (pairs.has_center_port(source) and pairs.has_center_port(target)):
            hint = "members join a tool with the key A" if "tool" in (source.cls.role, target.cls.role) else ""
            return _unsupported(world, source, target, "by center ports", hint)
    if source is target:
        world.warn("connection", f"{source.name!r} is connected to itself")
    elif world.tree.find_wire(source, target, port):
        what = "output" if port == "A" else "center"
        world.warn(
            "duplicate connection", f"{source.name!r} is connected to {target.name!r} again: a second {what} port"
        )
    if purpose is Meaning.FLOW:
        if source.cls.name == "Sink":
            world.warn("connection", f"{source.name!r} is a Sink: no item leaves it")
        if target.cls.name == "Source":
            world.warn("connection", f"{target.name!r} is a Source: no item enters it")
        world.tree.connect(source, target, port)
        return 1
    wire = world.tree.connect(source, target, port, attaches=purpose is Meaning.TRAVEL)
    if purpose in pairs.TRANSFERS:
        _add_transfer(world, wire, pairs.TRANSFERS[purpose])
    return 1


def _unsupported(world: World, source: Node, target: Node, how: str, hint: str) -> int:
    names = f"{source.name!r} ({source.cls.name}) and {target.name!r} ({target.cls.name})"
    world.warn("unsupported pair", f"{names} cannot be connected {how}; nothing is connected", hint)
    return 0


def _add_transfer(world: World, wire: Wire, name: str) -> None:
    """Puts the transfer into the conveyor: where items enter it, or where they leave it."""
    conveyor = wire.target if name == "EntryTransfer" else wire.source
    world.tree.count_node()
    info = classes().get(name) or classes()["ExitTransfer"]
    wire.transfer = AutomaticNode(world.free_name(conveyor, name, 1), info)
    conveyor.add(wire.transfer)


def _erase(world: World, source: Node, target: Node, port: str) -> int:
    if port == "A":
        _check_standing(world)
    if port == "A" and (isinstance(source, Tool) or isinstance(target, Tool)):
        tool, member = (source, target) if isinstance(source, Tool) else (target, source)
        return remove_member(world, tool, member)
    wire = world.tree.find_wire(source, target, port)
    if wire is None:
        world.warn("connection", f"{source.name!r} is not connected to {target.name!r}; nothing is removed")
        return 0
    world.tree.disconnect(wire)
    return 1


def object_connect(world: World, source: Any, target: Any) -> int:
    """`objectconnect(from, to)`: an output port to an input port."""
    ends = _ends(world, source, target)
    return _draw(world, *ends, "A") if ends else 0


def connect(world: World, source: Any, output: Any, target: Any, inlet: Any) -> int:
    """`connect(from, output, to, input)`: as the next port on both sides; warns where the numbers say otherwise."""
    ends = _ends(world, source, target)
    if ends is None:
        return 0
    if pairs.meaning(*ends) not in pairs.FLOWS:
        return _draw(world, *ends, "A")
    for number, ports, side in ((output, ends[0].outputs, "output"), (inlet, ends[1].inputs, "input")):
        wanted = to_int(number)
        if wanted > 0 and wanted != len(ports) + 1:
            world.warn("connection", f"{side} port {wanted} is asked for; the connection becomes port {len(ports) + 1}")
    return _draw(world, *ends, "A")


class PortList:
    """`object.outObjects` and its kin: the objects at the other end of one side's ports, from 1."""

    __slots__ = ("node", "wires")

    def __init__(self, node: Node, wires: list[Wire]):
        self.node = node
        self.wires = wires

    def objects(self) -> list[Node]:
        """Returns the objects in port order."""
        return [wire.other(self.node) for wire in self.wires]


def object_at(ports: PortList, index: Any) -> Node:
    """`ports[n]`; raises `Fault` beyond the last port, as FlexSim does."""
    at = to_int(index)
    if not 1 <= at <= len(ports.wires):
        count = len(ports.wires)
        hint = f"{ports.node.name!r} has {count} port{'s' * (count != 1)} on this side"
        raise Fault("Array index out of bounds", code="array index", hint=hint)
    return ports.wires[at - 1].other(ports.node)


def _peer(side: str) -> Callable[[World, Any, Any], Any]:
    def read(world: World, node: Any, number: Any) -> Any:
        ports = _side(node, side)
        at = to_int(number)
        return ports[at - 1].other(node) if 1 <= at <= len(ports) else None

    return read


def _peer_port(side: str, other_side: str) -> Callable[[World, Any, Any], int]:
    def read(world: World, node: Any, number: Any) -> int:
        ports = _side(node, side)
        at = to_int(number)
        if not 1 <= at <= len(ports):
            return 0
        wire = ports[at - 1]
        return next(n for n, one in enumerate(_side(wire.other(node), other_side), 1) if one is wire)

    return read


def _count(side: str) -> Callable[[World, Any], int]:
    return lambda world, node: len(_side(node, side))


def _side(node: Any, side: str) -> list[Wire]:
    if not isinstance(node, Node):
        raise Fault(f"ports of {describe(node)}", code="null reference" if node is None else "type")
    return {"in": node.inputs, "out": node.outputs, "center": node.centers}[side]


def table() -> Mapping[str, Command]:
    """Returns the commands by name."""
    return {
        "contextdragconnection": Command(drag, INT, 3, 3, True),
        "objectconnect": Command(object_connect, INT, 2, 2, True),
        "defaultdragconnection": Command(drag, INT, 3, 3, True),
        "connect": Command(connect, INT, 4, 4, True),
        "inobject": Command(_peer("in"), OBJECT, 2, 2, True),
        "outobject": Command(_peer("out"), OBJECT, 2, 2, True),
        "centerobject": Command(_peer("center"), NODE, 2, 2, True),
        "ipopno": Command(_peer_port("in", "out"), INT, 2, 2, True),
        "opipno": Command(_peer_port("out", "in"), INT, 2, 2, True),
        "nrip": Command(_count("in"), INT, 1, 1, True),
        "nrop": Command(_count("out"), INT, 1, 1, True),
        "nrcp": Command(_count("center"), INT, 1, 1, True),
    }
