"""FlexSim's object library: classes, their properties, defaults and old variable names, read from `library.json`."""

from __future__ import annotations

import dataclasses
import functools
import importlib.resources
import json
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from vlsm_jax.twin import Code, Distribution, ParameterValue

FIXED_RESOURCE, TASK_EXECUTER, DISPATCHER, CONVEYOR = "fixed resource", "task executer", "dispatcher", "conveyor"
CONVEYOR_POINT, NETWORK, VISUAL, TOOL = "conveyor point", "network", "visual", "tool"


@dataclasses.dataclass(frozen=True)
class PropertyInfo:
    """What `setProperty` takes for one property.

    Attributes:
      name: as in FlexSim.
      kind: "bool", "enum", "unit" (a number, a code string, or [value, "unit"]), "any" (a number or code), "number",
        "value" (a number or a reference), "vec3", "color", "array", "table" or "connections"; of tools also "members"
        (an array of objects), "state" (the number or name of a state) and "states" (an array of them).
      options: option name to number, of an enum.
      columns: what the columns of a table hold, where it is known.
    """

    name: str
    kind: str
    options: Mapping[str, int] = dataclasses.field(default_factory=dict)
    columns: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class ClassInfo:
    """One class of the library.

    Attributes:
      name: as in `Object.create`, without its namespace.
      role: "fixed resource", "task executer", "dispatcher", "conveyor", "conveyor point", "network" or "visual"; "tool"
        of what stands in the folder Tools.
      size: (x, y, z) in metres; a unit cube where it is not established.
      namespace: what stands before `::`, possibly empty.
      properties: by name.
      defaults: property name to value; properties without an established default are missing.
      variables: old variable name to property name.
      groups: the classes that it inherits properties from, the most special one first.
      plain_variables: old variables without a property, and their defaults.
      evidence: on what the defaults of each group rest, for there is no official list of them.
    """

    name: str
    role: str
    size: tuple[float, float, float]
    namespace: str
    properties: Mapping[str, PropertyInfo]
    defaults: Mapping[str, ParameterValue]
    variables: Mapping[str, str]
    groups: tuple[str, ...] = ()
    plain_variables: Mapping[str, float] = dataclasses.field(default_factory=dict)
    evidence: Mapping[str, str] = dataclasses.field(default_factory=dict)

    @property
    def carries_items(self) -> bool:
        """Whether items flow through objects of this class."""
        return self.role in (FIXED_RESOURCE, CONVEYOR)

    @functools.cached_property
    def variable_of(self) -> Mapping[str, str]:
        """Property name to old variable name."""
        return MappingProxyType({prop: variable for variable, prop in self.variables.items()})

    def default(self, name: str) -> ParameterValue | None:
        """Returns the default of a property; None where it is not established or there is no such property."""
        return self.defaults.get(name)


@functools.cache
def _data() -> Mapping[str, Any]:
    text = importlib.resources.files("vlsm_jax.simulator").joinpath("library.json").read_text(encoding="utf-8")
    return json.loads(text)


@functools.cache
def classes() -> Mapping[str, ClassInfo]:
    """Returns every class that a script can create, by name."""
    data = _data()
    properties = {
        group: {n: _property(n, e, data["columns"]) for n, e in entries.items()}
        for group, entries in data["properties"].items()
    }
    return MappingProxyType({name: _class(name, entry, data, properties) for name, entry in data["classes"].items()})


@functools.cache
def tools() -> Mapping[str, ClassInfo]:
    """Returns the kinds of tools that `Tools.create` makes here, by type.

    Properties and variables of MTBFMTTR and TimeTable carry names of this emulator's own: FlexSim lists none for them.
    """
    found = {}
    for name, entry in _data()["tools"].items():
        properties = {n: _property(n, e, _data()["columns"]) for n, e in entry.get("properties", {}).items()}
        found[name] = ClassInfo(
            name=name,
            role=TOOL,
            size=(1, 1, 1),
            namespace="",
            properties=MappingProxyType(properties),
            defaults=MappingProxyType({n: _value(v) for n, v in entry.get("defaults", {}).items()}),
            variables=MappingProxyType(entry.get("variables", {})),
            groups=(name,),
        )
    return MappingProxyType(found)


def tool_folder(name: str) -> str:
    """Returns the folder below Tools in which tools of a type stand."""
    return _data()["tools"][name]["folder"]


def unsupported_tools() -> tuple[str, ...]:
    """Returns the types of tools that FlexSim has and this emulator has not."""
    return tuple(_data()["unsupported tools"])


def _property(name: str, entry: Any, columns: Mapping[str, list[str]]) -> PropertyInfo:
    if isinstance(entry, str):
        return PropertyInfo(name, entry, columns=tuple(columns.get(name, ())) if entry == "table" else ())
    return PropertyInfo(name, entry[0], MappingProxyType(entry[1]))


def _class(name: str, entry: dict, data: dict, properties: Mapping[str, Mapping[str, PropertyInfo]]) -> ClassInfo:
    own: dict[str, PropertyInfo] = {}
    defaults: dict[str, Any] = {}
    variables: dict[str, str] = {}
    plain: dict[str, float] = {}
    evidence: dict[str, str] = {}
    # The class itself comes first, then its groups from the most special to the most general: the first one wins.
    for group in (name, *(g for g in entry["groups"] if g != name)):
        for key, value in data["defaults"].get(group, {}).items():
            defaults.setdefault(key, _value(value))
        for variable, value in data["plain variables"].get(group, {}).items():
            plain.setdefault(variable, value)
        if group in data["evidence"]:
            evidence[group] = data["evidence"][group]
    for group in dict.fromkeys((name, *entry["groups"], "global")):
        for key, info in properties[group].items() if group in properties else ():
            own.setdefault(key, info)
        for variable, key in data["variables"].get(group, {}).items():
            variables.setdefault(variable, key)
    for missing in entry.get("without", ()):
        own.pop(missing, None)
    return ClassInfo(
        name=name,
        role=entry["role"],
        size=tuple(entry.get("size", (1, 1, 1))),
        namespace=entry.get("namespace", ""),
        properties=MappingProxyType(own),
        defaults=MappingProxyType({key: value for key, value in defaults.items() if key in own}),
        variables=MappingProxyType(variables),
        groups=tuple(entry["groups"]),
        plain_variables=MappingProxyType({k: v for k, v in plain.items() if k not in variables}),
        evidence=MappingProxyType(evidence),
    )


def _value(entry: Any) -> ParameterValue:
    if isinstance(entry, dict):
        if "code" in entry:
            return Code(entry["code"])
        if "table" in entry:
            return Code(json.dumps(entry["table"]))
        return Distribution(entry["distribution"], tuple(entry["arguments"]))
    return tuple(entry) if isinstance(entry, list) else entry


@functools.cache
def _by_any_name() -> Mapping[str, ClassInfo]:
    names = {}
    for info in classes().values():
        names[info.name] = info
        if info.namespace:
            names[f"{info.namespace}::{info.name}"] = info
    return MappingProxyType(names)


def find_class(name: str) -> ClassInfo | None:
    """Returns the class of that name, with or without its namespace (`AGV::ControlPoint`); None when there is none."""
    return _by_any_name().get(name)


def property_default(cls: str, name: str) -> ParameterValue | None:
    """Returns the default of a property of a class, None where the class, the property or its default is unknown."""
    info = classes().get(cls)
    return info.default(name) if info else None
