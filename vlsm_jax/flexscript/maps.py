"""Maps: their methods, and the iterators that `find`, `begin` and `end` give."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from vlsm_jax.flexscript.arrays import deep_copy
from vlsm_jax.flexscript.conversions import ValueType, bounded_entries, copied, describe
from vlsm_jax.flexscript.faults import Fault
from vlsm_jax.flexscript.values import map_key
from vlsm_jax.flexscript.vocabulary import INT, MAP, VARIANT, Command, Members, TypeSpec


class MapIterator(ValueType):
    """A place in a map; behind the last entry it is false and has no key.

    Attributes:
      entries: the map.
      keys: the keys that were in the map when the iterator was made.
      at: the index of the entry's key; None behind the last one.
    """

    __slots__ = ("at", "entries", "keys")
    type_name = "Map.Iterator"

    def __init__(self, entries: dict, keys: list, at: int | None):
        self.entries = entries
        self.keys = keys
        self.at = at if at is not None and at < len(keys) else None

    def truth(self) -> bool:
        """Whether it stands at an entry."""
        return self.at is not None

    def stepped(self, amount: int) -> MapIterator:
        """The iterator at the next entry, or behind the last one."""
        if self.at is None or amount < 0:
            raise Fault("a Map's iterator cannot be moved there", code="map key", hint="compare it with end() first")
        return MapIterator(self.entries, self.keys, self.at + amount)

    def same(self, other: Any) -> bool:
        """Whether both stand at the same place of the same map."""
        if type(other) is not MapIterator or other.entries is not self.entries:
            return False
        return self.key() == other.key() if self.truth() and other.truth() else self.at is other.at

    def key(self) -> Any:
        """The key; raises `Fault` behind the last entry."""
        if self.at is None:
            raise Fault("the iterator stands behind the last entry of the Map", code="map key")
        return self.keys[self.at]

    def value(self) -> Any:
        """The value; raises `Fault` behind the last entry or where the entry was removed."""
        return map_read(self.entries, self.key())

    def assign(self, value: Any) -> None:
        """Writes the value."""
        self.entries[self.key()] = copied(value)


def map_read(entries: dict, key: Any) -> Any:
    """`m.Key`: raises when the key is absent."""
    if key not in entries:
        raise Fault(f"the Map has no key {key!r}", code="map key", hint="assign it first, or test with find()")
    return entries[key]


def map_write(entries: dict, key: Any, value: Any) -> None:
    """`m.Key = value`."""
    entries[key] = copied(value)
    bounded_entries(entries)


def map_remove(entries: dict, key: Any) -> Any:
    """Removes an entry and returns its value, or Null; an iterator removes the entry where it stands."""
    if isinstance(key, MapIterator):
        key = key.key()
    return entries.pop(map_key(key), None)


def map_find(entries: dict, key: Any) -> MapIterator:
    """The iterator at a key; a false one where the map lacks it."""
    key = map_key(key)
    return MapIterator(entries, [key], 0) if key in entries else MapIterator(entries, [], None)


def _to_map(value: Any) -> dict | None:
    if value is None or isinstance(value, dict):
        return value
    raise Fault(f"expected a Map, got {describe(value)}", code="type")


_METHODS = {
    "find": Command(map_find, VARIANT, 1, 1),
    "begin": Command(lambda m: MapIterator(m, list(m), 0), VARIANT, 0, 0),
    "end": Command(lambda m: MapIterator(m, [], None), VARIANT, 0, 0),
    "remove": Command(map_remove, VARIANT, 1, 1),
    "clone": Command(lambda m: deep_copy(m, {}), MAP, 0, 0),
    "clear": Command(lambda m: m.clear(), VARIANT, 0, 0),
    "has": Command(lambda m, key: int(map_key(key) in m), INT, 1, 1),
}


def members() -> Mapping[type, Members]:
    """Returns what stands behind the dot of a map and of an iterator."""
    return {
        dict: Members(
            {"keys": lambda m: list(m), "values": lambda m: list(m.values()), "length": len},
            {},
            _METHODS,
            missing=map_read,
            assign_missing=map_write,
        ),
        MapIterator: Members({"key": MapIterator.key, "value": MapIterator.value}, {"value": MapIterator.assign}),
    }


def types() -> Mapping[str, TypeSpec]:
    """Returns the type `Map`."""
    return {"Map": TypeSpec(MAP, dict, _to_map)}
