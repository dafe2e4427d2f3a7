"""What a script may name: commands, constants, types, namespaces and members, as explicit tables.

The language knows no factory. A world extends `core_vocabulary()` with its own tables and passes itself to the
functions that are marked `bound`. A name in a script is only ever looked up in these tables, never on a Python object.
"""

from __future__ import annotations

import dataclasses
import functools
import importlib.resources
import json
import re
from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

INT, DOUBLE, STRING, NODE, OBJECT, VARIANT = "int", "double", "string", "treenode", "Object", "Variant"
ARRAY, MAP, VEC2, VEC3, VEC4, COLOR = "Array", "Map", "Vec2", "Vec3", "Vec4", "Color"
DATETIME, TABLE, LIST, PULL_RESULT, DELAY = "DateTime", "Table", "List", "List.PullResult", "Delay"

NUMERIC = frozenset((INT, DOUBLE))
NODES = frozenset((NODE, OBJECT))


@dataclasses.dataclass(frozen=True, slots=True)
class Command:
    """Something a script can call.

    Attributes:
      function: takes the arguments by position; a `bound` one takes the world before them.
      result: the static type of the result.
      minimum: the number of arguments without which it cannot be called.
      maximum: arguments beyond this number are reported and ignored.
      bound: whether the function takes the world first.
    """

    function: Callable[..., Any]
    result: str = VARIANT
    minimum: int = 0
    maximum: int = 20
    bound: bool = False


@dataclasses.dataclass(frozen=True, slots=True)
class TypeSpec:
    """A type that a variable can be declared with.

    Attributes:
      kind: the static type of expressions that name the variable.
      default: returns the value of a declaration without initialiser.
      coerce: turns an assigned value into one of this type, or raises `Fault`; None when any value will do.
      accepts: what `x.is(Type)` tells of a value that is not Null; None derives it from `kind` and `coerce`.
    """

    kind: str
    default: Callable[[], Any]
    coerce: Callable[[Any], Any] | None = None
    accepts: Callable[[Any], bool] | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class Namespace:
    """What stands behind a name such as `Math` or `Model`: `Math.sqrt(x)`, `Color.red`."""

    methods: Mapping[str, Command]
    properties: Mapping[str, Command] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True, slots=True)
class Members:
    """What stands behind the dot and in the brackets of a value of one Python type.

    Attributes:
      getters: property name to a function of the value.
      setters: property name to a function of the value and the new value.
      methods: method name to `Command`; a bound one takes the world, then the value.
      missing: reads a name that is not in `getters`, such as a label; None when that is an error.
      assign_missing: writes such a name.
      index: reads `value[index]`.
      set_index: writes `value[index]`.
    """

    getters: Mapping[str, Callable[[Any], Any]] = dataclasses.field(default_factory=dict)
    setters: Mapping[str, Callable[[Any, Any], None]] = dataclasses.field(default_factory=dict)
    methods: Mapping[str, Command] = dataclasses.field(default_factory=dict)
    missing: Callable[[Any, str], Any] | None = None
    assign_missing: Callable[[Any, str, Any], None] | None = None
    index: Callable[[Any, Any], Any] | None = None
    set_index: Callable[[Any, Any, Any], None] | None = None


class LoopSpec(NamedTuple):
    """A command that takes a block, such as `forobjecttreeunder(node) { ... }`.

    Attributes:
      variable: the name that the block sees.
      kind: its static type.
      iterate: returns the values, given the arguments.
      arguments: how many arguments it takes.
    """

    variable: str
    kind: str
    iterate: Callable[..., Iterable[Any]]
    arguments: int


@dataclasses.dataclass(frozen=True)
class Vocabulary:
    """Everything a script may name.

    Attributes:
      commands: by name, as in `command(...)`.
      constants: by name, without parentheses.
      namespaces: by the name before the dot.
      types: by the name in a declaration.
      members: by the Python type of the value before the dot.
      kinds: static type to the Python type whose `members` decide whether a method exists, known before the run.
      loops: commands that take a block.
      elsewhere: names of methods that FlexSim has and this emulator has not.
      hints: what to say of names that are often used without being declared.
    """

    commands: Mapping[str, Command]
    constants: Mapping[str, Any]
    namespaces: Mapping[str, Namespace]
    types: Mapping[str, TypeSpec]
    members: Mapping[type, Members]
    kinds: Mapping[str, type]
    loops: Mapping[str, LoopSpec]
    elsewhere: frozenset[str] = frozenset()
    hints: Mapping[str, str] = dataclasses.field(default_factory=dict)

    def extended(self, **tables: Any) -> Vocabulary:
        """Returns a vocabulary with entries added; an entry of the same name is replaced."""
        merged = {
            name: table if isinstance(table, frozenset) else {**getattr(self, name), **table}
            for name, table in tables.items()
        }
        return dataclasses.replace(self, **merged)


@dataclasses.dataclass(frozen=True)
class Dialect:
    """Choices where the public sources on FlexScript are silent or disagree.

    The defaults are what we recommend: they take what may be right, and a warning says where FlexSim may differ.

    Attributes:
      text_plus_number: whether `"Queue" + 1` concatenates; else it is a compile error.
      number_plus_text: whether `1 + "st"` concatenates; else it is a compile error.
      bare_class_names: whether a created object is named like its class (`Queue`, then a second one found as
        `Queue~2`); else class and number (`Queue1`, `Queue2`).
      numbered_fallback: whether `Model.find("Queue1")` also finds an object that still has its default name.
      bare_expressions: whether a property takes a bare expression such as "exponential(0,10)" as its code.
      untyped_properties: whether `Model.find("X").location` works without declaring an `Object` first.
      functions: whether a script may define functions; else a definition is a compile error.
      wrap_ints: whether a result of int arithmetic beyond 32 bits wraps around where it arises; else only where it is
        assigned to an int.
      duplicate_names: whether two objects may bear one name, the second found as `Name~2`; else it is an exception.
      unknown_properties: whether setting or reading a property that a class does not have only warns; else it is an
        exception.
    """

    text_plus_number: bool = True
    number_plus_text: bool = False
    bare_class_names: bool = True
    numbered_fallback: bool = True
    bare_expressions: bool = True
    untyped_properties: bool = True
    functions: bool = False
    wrap_ints: bool = True
    duplicate_names: bool = True
    unknown_properties: bool = True


class KnownCommand(NamedTuple):
    """A command of FlexSim, supported or not.

    Attributes:
      signature: parameters and result, such as "(obj object) -> num".
      deprecated: whether FlexSim lists it as deprecated; it still works.
      replacement: what FlexSim names in its place, possibly empty.
    """

    signature: str
    deprecated: bool
    replacement: str

    @property
    def arity(self) -> tuple[int, int]:
        """The smallest and the largest number of arguments that the signature allows."""
        match = re.match(r"[^(]*\((.*)\)", self.signature)
        if not match:
            return 0, 20
        parameters = match[1]
        required = parameters.split("[")[0]
        most = 20 if "..." in parameters else len([p for p in re.split(r"[\[,\]]+", parameters) if p.strip()])
        return len([p for p in required.split(",") if p.strip()]), most


@functools.cache
def known_commands() -> Mapping[str, KnownCommand]:
    """Returns every command of FlexSim by name."""
    text = importlib.resources.files("vlsm_jax.flexscript").joinpath("commands.json").read_text(encoding="utf-8")
    return MappingProxyType(
        {
            name: KnownCommand(row[0], len(row) > 1, row[1] if len(row) > 1 else "")
            for name, row in json.loads(text).items()
        }
    )
