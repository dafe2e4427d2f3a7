"""The tree commands of FlexScript: find, create, name, place, set, connect, and what a headless emulator can ignore."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from vlsm_jax.flexscript import Fault
from vlsm_jax.flexscript.values import Vec3, describe, to_float, to_int, to_number, to_text, truth
from vlsm_jax.flexscript.vocabulary import DOUBLE, INT, NODE, OBJECT, STRING, VARIANT, Command
from vlsm_jax.simulator import (
    attributes,
    codenodes,
    coloring,
    connecting,
    draws,
    headless,
    labels,
    modeldata,
    treecommands,
)
from vlsm_jax.simulator.library import TOOL
from vlsm_jax.simulator.objects.item import Item
from vlsm_jax.simulator.paths import Attribute, Missing
from vlsm_jax.simulator.properties import get_variable, set_variable
from vlsm_jax.simulator.tools import create_tool
from vlsm_jax.simulator.tree import Node
from vlsm_jax.simulator.treecommands import changeable
from vlsm_jax.simulator.world import MAX_NAME, World, node_of, object_of

# --- Finding ----------------------------------------------------------------------------------------------------------


def find_node(world: World, path: Any, start: Any = None) -> Any:
    """`node(path, start)`: a path that leads nowhere gives a missing node, which is not NULL."""
    if start is None:
        start = world.tree.model
    elif not isinstance(start, Attribute):
        start = node_of(start, "node()")
    found = world.find(start, path)
    return Missing(path[:MAX_NAME]) if found is None else found


def exists(world: World, node: Any) -> int:
    """`objectexists(node)`: 0 for NULL, for what `node()` did not find, and for what was destroyed."""
    if isinstance(node, Node):
        return int(not node.is_gone)
    return int(isinstance(node, (Item, Attribute, labels.Label)))


def rank(world: World, node: Any, index: Any = None) -> Any:
    """`rank(parent, index)`: the child of that rank, NULL beyond the last."""
    children = _children(world, node, "rank()")
    at = to_int(index)
    return children[at - 1] if 1 <= at <= len(children) else None


def content(world: World, node: Any) -> int:
    """`content(node)`: how many children a node has; during a run, how many items an object holds."""
    if isinstance(node, Attribute):
        return len(attributes.children(world, node))
    parent = node_of(node, "content()")
    return len(parent.live.items) if parent.live is not None else len(parent.children)


def _child(at: int) -> Callable[[World, Any], Any]:
    def read(world: World, node: Any) -> Any:
        children = _children(world, node, "first() or last()")
        return children[at] if children else None

    return read


def _children(world: World, node: Any, what: str) -> Sequence[Any]:
    return attributes.children(world, node) if isinstance(node, Attribute) else node_of(node, what).children


def _up(world: World, node: Any) -> Any:
    return world.find(node, "..") if isinstance(node, Attribute) else node_of(node, "up()").parent


def _name(world: World, node: Any) -> str:
    if isinstance(node, Attribute):
        return node.steps[-1] if node.steps else node.folder
    return node_of(node, "getname()").name


def _sibling(step: int) -> Callable[[World, Any], Any]:
    return lambda world, node: node_of(node, "next() or prev()").sibling(step)


def owner_object(world: World, node: Any) -> Any:
    """`ownerobject(c)`: the object that a code node belongs to."""
    if isinstance(node, Attribute):
        return node.owner
    return node if isinstance(node, Node) else None


# --- Creating and naming ----------------------------------------------------------------------------------------------


def create_instance(world: World, cls: Any, container: Any = None) -> Node:
    """`createinstance(class, container)`."""
    entry = object_of(cls, "createinstance()")
    if entry.cls.role == TOOL:
        world.warn("tool", f"{entry.cls.name} is a tool, no object", f'write Tools.create("{entry.cls.name}")')
        return create_tool(world, entry.cls.name)
    return world.create(entry.cls, _container(world, container))


def create_copy(world: World, original: Any, container: Any = None, same_name: Any = 0, *flags: Any) -> Node:
    """`createcopy(node, container, samename)`, from the library or from the model."""
    source = node_of(original, "createcopy()")
    return world.create_copy(source, _container(world, container) or world.tree.model, truth(same_name))


def insert_copy(world: World, original: Any, container: Any) -> Node:
    """`insertcopy(object, container)`."""
    return create_copy(world, original, container)


def _container(world: World, container: Any) -> Node | None:
    if container is None:
        return None
    node = node_of(container, "the container")
    if node.is_library:
        raise Fault("the library cannot take objects", code="argument", hint="use model()")
    return node


def set_name(world: World, node: Any, name: Any) -> Any:
    """`setname(object, name)`."""
    world.rename(changeable(node, "setname()"), name)
    return node


# --- Placing ----------------------------------------------------------------------------------------------------------


def set_location(world: World, node: Any, x: Any = 0, y: Any = 0, z: Any = 0, *factors: Any) -> Any:
    """`setloc(object, x, y, z, fx, fy, fz)`: puts the point that the factors (0 to 1) name at (x, y, z)."""
    target = changeable(node, "setloc()")
    if isinstance(x, (Vec3, list)):
        place, *rest = Vec3(), y
        place.assign(x)
        shift = Vec3()
        if isinstance(rest[0], (Vec3, list)):
            shift.assign(rest[0])
    else:
        place = Vec3(to_number(x), to_number(y), to_number(z))
        shift = Vec3(*map(to_number, factors[:3]))
    size = target.size
    target.location.assign(
        Vec3(place.x - shift.x * size.x, place.y + shift.y * size.y, place.z - shift.z * size.z)
        if any(shift)
        else place
    )
    return node


def _set_part(part: str) -> Callable[..., Any]:
    def assign(world: World, node: Any, x: Any = 0, y: Any = 0, z: Any = 0) -> Any:
        target = changeable(node, f"set{part}()")
        vector = x if isinstance(x, (Vec3, list)) else Vec3(to_number(x), to_number(y), to_number(z))
        getattr(target, part).assign(vector)
        return node

    return assign


def _component(part: str, axis: int) -> Callable[[World, Any], float]:
    return lambda world, node: to_float(tuple(getattr(node_of(node, part), part))[axis])


def set_color(world: World, node: Any, r: Any, g: Any, b: Any, a: Any = 1) -> Any:
    """`setcolor(object, r, g, b)`."""
    changeable(node, "setcolor()").color.assign([r, g, b, a])
    return node


# --- Settings ---------------------------------------------------------------------------------------------------------


def set_variable_number(world: World, node: Any, variable: Any, value: Any) -> Any:
    """`setvarnum(object, variable, number)`."""
    set_variable(world, object_of(node, "setvarnum()"), variable, to_number(value))
    return node


def set_variable_text(world: World, node: Any, variable: Any, value: Any) -> Any:
    """`setvarstr(object, variable, code)`."""
    set_variable(world, object_of(node, "setvarstr()"), variable, to_text(value))
    return node


def variable_number(world: World, node: Any, variable: Any) -> float:
    """`getvarnum(object, variable)`."""
    return to_float(get_variable(world, object_of(node, "getvarnum()"), variable))


def variable_text(world: World, node: Any, variable: Any) -> str:
    """`getvarstr(object, variable)`."""
    return to_text(get_variable(world, object_of(node, "getvarstr()"), variable))


def write_node(world: World, node: Any, value: Any) -> Any:
    """`setnodenum`, `setnodestr`, `set`: writes the value of a node, of a variable or of a label."""
    if isinstance(node, Attribute):
        attributes.write(world, node, value)
    elif isinstance(node, labels.Label):
        labels.assign(node.owner, node.name, value)
    else:
        changeable(node, "setnodenum()").value = value
    return node


def read_node(world: World, node: Any) -> Any:
    """`getnodenum`, `getnodestr`, `get`."""
    if isinstance(node, Attribute):
        return attributes.read(world, node)
    if isinstance(node, labels.Label):
        return labels.read(node.owner, node.name)
    return node_of(node, "getnodenum()").value


def set_label(world: World, node: Any, name: Any, value: Any = 0) -> Any:
    """`setlabel(object, name, value)` and `addlabel`."""
    labels.assign(node, to_text(name), value)
    return node


def get_label(world: World, node: Any, name: Any) -> Any:
    """`getlabel(object, name)`, Null where there is none."""
    return labels.holder_of(node).get(to_text(name))


# --- Time and the run -------------------------------------------------------------------------------------------------


def now(world: World) -> float:
    """`time()`: model time in seconds, 0 while the script builds."""
    return world.clock.now if world.clock is not None else 0.0


def statistical_time(world: World) -> float:
    """`statisticaltime()`: seconds since the statistics began, which a warm-up or `resetstats()` makes anew."""
    return world.clock.now - world.counted_from if world.clock is not None else 0.0


def stop_time(world: World, at: Any, number: Any = 1) -> float:
    """`stoptime(t)`: notes the stop time; -1 reads it, and 0 with -1 clears it."""
    wanted = to_float(at)
    if 0 < wanted < math.inf:
        world.stop_time = wanted
    elif wanted == math.inf:
        world.warn("value", "stoptime() of more than any number has no effect")
    elif wanted == 0:
        world.stop_time = None
    return world.stop_time or 0.0


def run_speed(world: World, speed: Any = -1, mode: Any = 0) -> float:
    """`runspeed(n)`: accepted, without effect on results."""
    if to_float(speed) > 0:
        world.run_speed = to_float(speed)
    return world.run_speed


def _units(factor: float) -> Callable[[Any], float]:
    return lambda count: to_float(count) * factor


def message(world: World, caption: Any = "", text: Any = "", buttons: Any = 1) -> int:
    """`msg(caption, text)`: a dialog that is answered with OK."""
    world.machine.write(to_text(caption), to_text(text))
    return 1


def execute_text(world: World, text: Any, *arguments: Any) -> Any:
    """`executestring(text)`: runs a string as FlexScript."""
    if not isinstance(text, str):
        raise Fault(f"executestring needs a string, not {describe(text)}", code="argument")
    world.machine.charge(1 + len(text) // 4)
    code = world.compile_text(text, "executestring")
    if not code.ok:
        first = next(d for d in code.diagnostics if d.severity.value == "error")
        raise Fault(f"executestring: {first.message}", code=first.code, hint=first.hint)
    return code.run(*arguments[:1], tuple(arguments[2:]), *arguments[1:2])


# --- Table ------------------------------------------------------------------------------------------------------------


def _bound(function: Callable[..., Any], result: str, minimum: int, maximum: int) -> Command:
    return Command(function, result, minimum, maximum, True)


def table() -> Mapping[str, Command]:
    """Returns the commands by name, distributions and connections included."""
    table: dict[str, Command] = {**headless.table(), **coloring.table(), **codenodes.table()}
    table |= {
        "model": _bound(lambda world: world.tree.model, NODE, 0, 0),
        "library": _bound(lambda world: world.tree.library, NODE, 0, 0),
        "maintree": _bound(lambda world: world.tree.main, NODE, 0, 0),
        "node": _bound(find_node, NODE, 1, 2),
        "objectexists": _bound(exists, INT, 1, 1),
        "rank": _bound(rank, NODE, 2, 2),
        "rankobj": _bound(rank, NODE, 2, 2),
        "content": _bound(content, INT, 1, 1),
        "contentobj": _bound(content, INT, 1, 1),
        "first": _bound(_child(0), NODE, 1, 1),
        "last": _bound(_child(-1), NODE, 1, 1),
        "next": _bound(_sibling(1), NODE, 1, 1),
        "prev": _bound(_sibling(-1), NODE, 1, 1),
        "up": _bound(_up, NODE, 1, 1),
        "ownerobject": _bound(owner_object, OBJECT, 1, 1),
        "createinstance": _bound(create_instance, OBJECT, 1, 2),
        "createcopy": _bound(create_copy, OBJECT, 2, 6),
        "insertcopy": _bound(insert_copy, OBJECT, 2, 2),
        "setname": _bound(set_name, NODE, 2, 2),
        "setnodename": _bound(set_name, NODE, 2, 2),
        "getname": _bound(_name, STRING, 1, 1),
        "getnodename": _bound(_name, STRING, 1, 1),
        "setloc": _bound(set_location, NODE, 4, 7),
        "setsize": _bound(_set_part("size"), NODE, 4, 4),
        "setrot": _bound(_set_part("rotation"), NODE, 4, 4),
        "setcolor": _bound(set_color, NODE, 4, 5),
        "setvarnum": _bound(set_variable_number, NODE, 3, 3),
        "setvarstr": _bound(set_variable_text, NODE, 3, 3),
        "getvarnum": _bound(variable_number, DOUBLE, 2, 2),
        "getvarstr": _bound(variable_text, STRING, 2, 2),
        "setnodenum": _bound(write_node, NODE, 2, 2),
        "setnodestr": _bound(write_node, NODE, 2, 2),
        "set": _bound(write_node, NODE, 2, 2),
        "sets": _bound(write_node, NODE, 2, 2),
        "getnodenum": _bound(lambda world, node: to_float(read_node(world, node)), DOUBLE, 1, 1),
        "getnodestr": _bound(lambda world, node: to_text(read_node(world, node)), STRING, 1, 1),
        "get": _bound(read_node, VARIANT, 1, 1),
        "gets": _bound(lambda world, node: to_text(read_node(world, node)), STRING, 1, 1),
        "setlabel": _bound(set_label, NODE, 2, 3),
        "setlabelnum": _bound(set_label, NODE, 3, 3),
        "setlabelstr": _bound(set_label, NODE, 3, 3),
        "addlabel": _bound(set_label, NODE, 2, 3),
        "getlabel": _bound(get_label, VARIANT, 2, 2),
        "getlabelnum": _bound(lambda world, n, name: to_float(get_label(world, n, name)), DOUBLE, 2, 2),
        "getlabelstr": _bound(lambda world, n, name: to_text(get_label(world, n, name)), STRING, 2, 2),
        "time": _bound(now, DOUBLE, 0, 0),
        "statisticaltime": _bound(statistical_time, DOUBLE, 0, 0),
        "stoptime": _bound(stop_time, DOUBLE, 1, 2),
        "runspeed": _bound(run_speed, DOUBLE, 0, 2),
        "getrunstate": _bound(lambda world, *a: int(world.clock is not None), INT, 0, 1),
        "hours": Command(_units(3600), DOUBLE, 1, 1),
        "minutes": Command(_units(60), DOUBLE, 1, 1),
        "seconds": Command(_units(1), DOUBLE, 1, 1),
        "days": Command(_units(86400), DOUBLE, 1, 1),
        "msg": _bound(message, INT, 1, 3),
        "executestring": _bound(execute_text, VARIANT, 1, 4),
        "getstream": _bound(lambda world, node: 101, INT, 1, 1),
        "and": Command(lambda a, b: int(truth(a) and truth(b)), INT, 2, 2),
        "or": Command(lambda a, b: int(truth(a) or truth(b)), INT, 2, 2),
        "not": Command(lambda a: int(not truth(a)), INT, 1, 1),
    }
    for part, command in (("location", "loc"), ("size", "size"), ("rotation", "rot")):
        for axis, letter in enumerate("xyz"):
            table[f"{letter}{command}"] = _bound(_component(part, axis), DOUBLE, 1, 1)
    return table | treecommands.table() | modeldata.table() | connecting.table() | draws.table()
