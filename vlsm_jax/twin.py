"""The Twin: a factory as data.

A `Twin` holds objects (FlexSim class, name, location, parameters) and connections (from, to, port letter). It is
frozen, comparable and JSON-able, and knows nothing of JAX, FlexScript or pictures. Everything else in the package is a
way into or out of it.

What equality means. Objects and parameters are sets: their order carries no meaning. The order of the connections at
one object is its port order, which decides where items go first, so it counts: two Twins are equal when their objects
are equal and every object has the same output, input and center ports in the same order.
"""

from __future__ import annotations

import dataclasses
import functools
import json
import math
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any, Literal

FORMAT = "vlsm_jax.twin/1"

PortLetter = Literal["A", "S"]
PORT_LETTERS: tuple[PortLetter, ...] = ("A", "S")


class TwinError(ValueError):
    """A value that no Twin can hold; the message says what, where and what to do."""


@dataclasses.dataclass(frozen=True)
class Distribution:
    """A random duration or quantity, named and ordered as in FlexScript.

    Attributes:
      name: the FlexScript command, such as "exponential" or "triangular".
      arguments: numbers in FlexSim's own order, without the stream: `exponential(location, scale)`,
        `triangular(min, max, mode)`. Durations are in model time units (seconds).
    """

    name: str
    arguments: tuple[float, ...]

    def __post_init__(self):
        if not self.name.isidentifier():
            raise TwinError(f"distribution name {self.name!r} is not an identifier; use a FlexScript command name")
        where = f"an argument of {self.name}"
        object.__setattr__(self, "arguments", tuple(canonical_number(a, where) for a in self.arguments))

    def __str__(self) -> str:
        return f"{self.name}({', '.join(format_number(a) for a in self.arguments)})"


@dataclasses.dataclass(frozen=True)
class Code:
    """A parameter given as FlexScript that is neither a plain number nor one distribution, kept as text."""

    text: str

    def __str__(self) -> str:
        return f"code {self.text!r}"


ParameterValue = int | float | str | tuple | Distribution | Code
"""A number, an option name or text, a vector of numbers, a `Distribution`, or `Code`."""

_CANONICAL = frozenset({int, str, Distribution, Code})  # Types of which every value is stored as it is.


def canonical_number(value: Any, where: str) -> int | float:
    """Returns `value` as an int when it is whole, else as a float; raises `TwinError` unless it is a finite number."""
    if type(value) is int:
        return value
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, int):
        return value
    if isinstance(value, float):
        if not math.isfinite(value):
            raise TwinError(f"{where} is {value}; a Twin holds finite numbers only")
        return int(value) if value.is_integer() else value
    raise TwinError(f"{where} is {value!r}; expected a number")


def canonical_value(value: Any, where: str) -> ParameterValue:
    """Returns `value` in the one form in which a Twin stores it; raises `TwinError` naming `where` otherwise."""
    if isinstance(value, (str, Distribution, Code)):
        return value
    if isinstance(value, (tuple, list)):
        return tuple(canonical_number(v, where) for v in value)
    return canonical_number(value, where)


def format_number(value: float) -> str:
    """Returns the shortest text that reads back as the same number, without an exponent where it can be avoided."""
    value = canonical_number(value, "number")
    text = repr(value)
    if type(value) is int:
        return text
    if "e" in text and abs(value) < 1e15:
        text = f"{value:.20f}".rstrip("0")
        if float(text) != value:
            text = repr(value)
    return text


def format_value(value: ParameterValue) -> str:
    """Returns a parameter value as a reader expects it in a diff or a report."""
    if isinstance(value, str):
        return repr(value)
    if isinstance(value, tuple):
        return f"({', '.join(format_number(v) for v in value)})"
    if isinstance(value, (Distribution, Code)):
        return str(value)
    return format_number(value)


@dataclasses.dataclass(frozen=True)
class TwinObject:
    """One object of the factory.

    Attributes:
      cls: FlexSim class, such as "Source" or "Processor".
      name: unique within the Twin, case-sensitive.
      location: (x, y, z) in model units (metres); FlexSim's reference point, the upper-left corner.
      parameters: property name to value, only those that were set. Durations in model time units (seconds).
    """

    cls: str
    name: str
    location: tuple[float, float, float] = (0, 0, 0)
    parameters: Mapping[str, ParameterValue] = dataclasses.field(default_factory=dict)

    def __post_init__(self):
        if not self.name or not isinstance(self.name, str):
            raise TwinError(f"an object of class {self.cls!r} has the name {self.name!r}; give it a non-empty string")
        if not self.cls or not isinstance(self.cls, str):
            raise TwinError(f"object {self.name!r} has the class {self.cls!r}; give it a non-empty string")
        if len(self.location) != 3:
            raise TwinError(f"object {self.name!r} has {len(self.location)} coordinates; location is (x, y, z)")
        # Most values are canonical already; where they stand is put into words for the others alone.
        location = tuple(
            [c if type(c) is int else canonical_number(c, f"location of object {self.name!r}") for c in self.location]
        )
        object.__setattr__(self, "location", location)
        parameters = {
            key: value
            if type(value) in _CANONICAL
            else canonical_value(value, f"parameter {key!r} of object {self.name!r}")
            for key, value in sorted(self.parameters.items())
        }
        object.__setattr__(self, "parameters", MappingProxyType(parameters))

    def __hash__(self) -> int:
        return hash((self.cls, self.name, self.location, tuple(self.parameters.items())))

    def __reduce__(self):
        return (TwinObject, (self.cls, self.name, self.location, dict(self.parameters)))


@dataclasses.dataclass(frozen=True)
class Connection:
    """A wire from one object to another: port "A" carries flow, port "S" joins center ports.

    The order of wires in a Twin is the order in which they were drawn and so the port order at each object. Center
    ports have no direction: an "S" wire appends a port on both objects.
    """

    source: str
    target: str
    port: PortLetter = "A"

    def __post_init__(self):
        if self.port not in PORT_LETTERS:
            raise TwinError(f"connection {self.source!r} -> {self.target!r} has port {self.port!r}; use 'A' or 'S'")

    def __str__(self) -> str:
        arrow = "->" if self.port == "A" else "<->"
        return f"{self.source} {arrow} {self.target} ({self.port})"


@dataclasses.dataclass(frozen=True)
class Ports:
    """The names at the other end of one object's ports, in port order (port 1 first)."""

    inputs: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()
    centers: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True, eq=False)
class Twin:
    """A factory as data. See the module docstring for what equality means.

    Raises:
      TwinError: two objects share a name, or a connection names an object that is not there.
    """

    objects: tuple[TwinObject, ...] = ()
    connections: tuple[Connection, ...] = ()

    def __post_init__(self):
        object.__setattr__(self, "objects", tuple(self.objects))
        object.__setattr__(self, "connections", tuple(self.connections))
        seen: set[str] = set()
        for obj in self.objects:
            if obj.name in seen:
                raise TwinError(f"two objects are named {obj.name!r}; names are unique within a Twin")
            seen.add(obj.name)
        for connection in self.connections:
            for end in (connection.source, connection.target):
                if end not in seen:
                    raise TwinError(f"connection {connection} names {end!r}, which is not an object of this Twin")

    @functools.cached_property
    def by_name(self) -> Mapping[str, TwinObject]:
        """Objects by their name."""
        return MappingProxyType({obj.name: obj for obj in self.objects})

    @functools.cached_property
    def ports(self) -> Mapping[str, Ports]:
        """The ports of every object, by the object's name."""
        inputs: dict[str, list[str]] = {obj.name: [] for obj in self.objects}
        outputs: dict[str, list[str]] = {obj.name: [] for obj in self.objects}
        centers: dict[str, list[str]] = {obj.name: [] for obj in self.objects}
        for wire in self.connections:
            if wire.port == "A":
                outputs[wire.source].append(wire.target)
                inputs[wire.target].append(wire.source)
            else:
                centers[wire.source].append(wire.target)
                centers[wire.target].append(wire.source)
        return MappingProxyType(
            {name: Ports(tuple(inputs[name]), tuple(outputs[name]), tuple(centers[name])) for name in inputs}
        )

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Twin):
            return NotImplemented
        if self.objects == other.objects and self.connections == other.connections:
            return True  # whatever was told in the same order needs no sorting
        return dict(self.by_name) == dict(other.by_name) and dict(self.ports) == dict(other.ports)

    def __hash__(self) -> int:
        return hash((frozenset(self.objects), frozenset(self.ports.items())))

    def __reduce__(self):
        return (Twin, (self.objects, self.connections))

    def __str__(self) -> str:
        lines = []
        for obj in self.objects:
            settings = "".join(f", {key} {format_value(value)}" for key, value in obj.parameters.items())
            lines.append(f"{obj.cls} {obj.name!r} at {format_value(obj.location)}{settings}")
        return "\n".join([*lines, *map(str, self.connections)])

    # --- JSON ---------------------------------------------------------------------------------------------------------

    def to_dict(self) -> dict[str, Any]:
        """Returns plain dicts, lists, strings and numbers, in the format named by `FORMAT`."""
        return {
            "format": FORMAT,
            "objects": [
                {
                    "class": obj.cls,
                    "name": obj.name,
                    "location": list(obj.location),
                    "parameters": {key: _value_to_json(value) for key, value in obj.parameters.items()},
                }
                for obj in self.objects
            ],
            "connections": [{"from": w.source, "to": w.target, "port": w.port} for w in self.connections],
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Twin:
        """Reads what `to_dict` wrote; raises `TwinError` naming the path of the first entry that does not fit."""
        if not isinstance(data, Mapping):
            raise TwinError(f"a Twin is a JSON object, not {type(data).__name__}")
        if data.get("format", FORMAT) != FORMAT:
            raise TwinError(f"format is {data['format']!r}; this version reads {FORMAT!r}")
        objects, connections = [], []
        for i, entry in enumerate(_json_list(data, "objects")):
            path = f"objects[{i}]"
            parameters = _json_field(entry, "parameters", path, default={})
            if not isinstance(parameters, Mapping):
                raise TwinError(f"{path}.parameters is {parameters!r}; expected an object of name: value")
            location = _json_field(entry, "location", path, default=[0, 0, 0])
            if not isinstance(location, (list, tuple)):
                raise TwinError(f"{path}.location is {location!r}; expected [x, y, z]")
            objects.append(
                TwinObject(
                    cls=_json_field(entry, "class", path),
                    name=_json_field(entry, "name", path),
                    location=tuple(location),
                    parameters={k: _value_from_json(v, f"{path}.parameters.{k}") for k, v in parameters.items()},
                )
            )
        for i, entry in enumerate(_json_list(data, "connections")):
            path = f"connections[{i}]"
            connections.append(
                Connection(
                    _json_field(entry, "from", path),
                    _json_field(entry, "to", path),
                    _json_field(entry, "port", path, default="A"),
                )
            )
        return cls(tuple(objects), tuple(connections))

    def to_json(self, indent: int | None = None) -> str:
        """Returns the Twin as JSON text."""
        return json.dumps(self.to_dict(), indent=indent, ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> Twin:
        """Reads JSON text; raises `TwinError` with line and column when it is not JSON."""
        try:
            data = json.loads(text)
        except json.JSONDecodeError as error:
            message = f"not JSON: {error.msg} at line {error.lineno}, column {error.colno}"
            raise TwinError(message) from error
        return cls.from_dict(data)


def _json_list(data: Mapping[str, Any], key: str) -> Iterable[Any]:
    value = data.get(key, [])
    if not isinstance(value, list):
        raise TwinError(f"{key} is {value!r}; expected a list")
    return value


_REQUIRED = object()


def _json_field(entry: Any, key: str, path: str, default: Any = _REQUIRED) -> Any:
    if not isinstance(entry, Mapping):
        raise TwinError(f"{path} is {entry!r}; expected a JSON object")
    if key in entry:
        return entry[key]
    if default is _REQUIRED:
        raise TwinError(f"{path} has no {key!r}")
    return default


def _value_to_json(value: ParameterValue) -> Any:
    if isinstance(value, Distribution):
        return {"distribution": value.name, "arguments": list(value.arguments)}
    if isinstance(value, Code):
        return {"code": value.text}
    return list(value) if isinstance(value, tuple) else value


def _value_from_json(value: Any, path: str) -> ParameterValue:
    if isinstance(value, Mapping):
        if "distribution" in value:
            return Distribution(value["distribution"], tuple(value.get("arguments", ())))
        if "code" in value:
            return Code(value["code"])
        raise TwinError(f"{path} is {dict(value)!r}; expected 'distribution' with 'arguments', or 'code'")
    return canonical_value(value, path)


# --- Differences ------------------------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Difference:
    """One difference between a reference and a candidate.

    Attributes:
      kind: "missing object", "extra object", "class", "location", "parameter", "missing connection",
        "extra connection" or "port order".
      where: the object or connection concerned.
      reference: what the reference has, as text; empty if nothing.
      candidate: what the candidate has, as text; empty if nothing.
    """

    kind: str
    where: str
    reference: str = ""
    candidate: str = ""

    def __str__(self) -> str:
        if self.reference and self.candidate:
            return f"{self.kind}: {self.where}: {self.reference} became {self.candidate}"
        value = self.reference or self.candidate
        return f"{self.kind}: {self.where}" + (f": {value}" if value else "")


def diff(reference: Twin, candidate: Twin) -> tuple[Difference, ...]:
    """Returns what separates two Twins, in reading order; empty exactly when they are equal."""
    out: list[Difference] = []
    for obj in reference.objects:
        other = candidate.by_name.get(obj.name)
        if other is None:
            out.append(Difference("missing object", obj.name, reference=obj.cls))
        else:
            out.extend(_object_differences(obj, other))
    out.extend(
        Difference("extra object", obj.name, candidate=obj.cls)
        for obj in candidate.objects
        if obj.name not in reference.by_name
    )
    out.extend(_connection_differences(reference, candidate))
    return tuple(out)


def _object_differences(reference: TwinObject, candidate: TwinObject) -> Iterable[Difference]:
    name = reference.name
    if reference.cls != candidate.cls:
        yield Difference("class", name, reference.cls, candidate.cls)
    if reference.location != candidate.location:
        yield Difference("location", name, format_value(reference.location), format_value(candidate.location))
    for key in sorted({*reference.parameters, *candidate.parameters}):
        mine, theirs = reference.parameters.get(key), candidate.parameters.get(key)
        if mine != theirs:
            yield Difference(
                "parameter",
                f"{name}.{key}",
                "not set" if mine is None else format_value(mine),
                "not set" if theirs is None else format_value(theirs),
            )


def wires(twin: Twin) -> list[Connection]:
    """Returns the connections with the two ends of every center wire in alphabetical order: they have no direction."""
    return [
        Connection(*sorted((w.source, w.target)), w.port) if w.port == "S" else w  # type: ignore[misc]
        for w in twin.connections
    ]


def _connection_differences(reference: Twin, candidate: Twin) -> Iterable[Difference]:
    theirs = wires(candidate)
    missing = []
    for wire in wires(reference):
        if wire in theirs:
            theirs.remove(wire)
        else:
            missing.append(wire)
    yield from (Difference("missing connection", str(wire)) for wire in missing)
    yield from (Difference("extra connection", str(wire)) for wire in theirs)
    if missing or theirs:
        return
    # The same wires, drawn in another order: name the ports that this changes.
    for name, ports in reference.ports.items():
        other = candidate.ports.get(name, Ports())  # an unconnected object may be missing altogether
        for side in ("inputs", "outputs", "centers"):
            mine, them = getattr(ports, side), getattr(other, side)
            if mine != them:
                yield Difference("port order", f"{name} {side}", ", ".join(mine), ", ".join(them))
