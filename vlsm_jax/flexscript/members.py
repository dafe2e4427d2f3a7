"""Methods and properties of strings, arrays, maps, vectors and colors.

Positions in strings and arrays count from 1, except where FlexScript itself follows another rule: `slice`, `substr` and
`splice` take 1-based starts, and `indexOf` gives -1 when nothing is found.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

from vlsm_jax.flexscript.faults import Fault, Unsupported
from vlsm_jax.flexscript.values import (
    MAX_ITEMS,
    MAX_TEXT,
    Color,
    Vec3,
    bounded_items,
    bounded_text,
    copied,
    describe,
    display,
    equal,
    format_number,
    less,
    map_key,
    to_array,
    to_float,
    to_int,
    to_number,
    to_text,
)
from vlsm_jax.flexscript.vocabulary import ARRAY, DOUBLE, INT, STRING, VARIANT, VEC3, Command, Members, Namespace

# --- Strings ----------------------------------------------------------------------------------------------------------


def _plain(pattern: Any) -> str:
    """A text to search for; regular expressions are refused, since they can run for ever."""
    if not isinstance(pattern, str):
        raise Fault(f"expected a string, got {describe(pattern)}", code="argument")
    if getattr(pattern, "is_pattern", False):
        raise Unsupported("regular expressions are not supported", hint="search for a plain string")
    return pattern


class PatternText(str):
    """The text of a regular-expression literal."""

    __slots__ = ()
    is_pattern = True


def text_slice(text: str, start: Any, end: Any = None) -> str:
    """Characters from `start` up to, not including, `end`, both from 1; negative positions count from the end."""
    length = len(text)
    first = to_int(start)
    last = length + 1 if end is None else to_int(end)
    first = max(1, first if first >= 0 else length + 1 + first)
    last = last if last >= 0 else length + 1 + last
    return text[first - 1 : max(first, last) - 1]


def text_substr(text: str, start: Any, length: Any = None) -> str:
    """`length` characters from the 1-based position `start`."""
    first = max(1, to_int(start))
    return text[first - 1 :] if length is None else text[first - 1 : first - 1 + max(0, to_int(length))]


def text_split(text: str, separator: Any = "") -> list:
    """An array of the parts between separators; of the characters when the separator is empty."""
    separator = _plain(separator)
    return bounded_items(text.split(separator) if separator else list(text))


def text_replace(text: str, old: Any, new: Any) -> str:
    """The text with every `old` replaced."""
    old, new = _plain(old), to_text(new)
    return bounded_text(text.replace(old, new)) if old else text


def text_find(text: str, part: Any, start: Any = 1) -> int:
    """The 1-based position of a part, or -1."""
    at = text.find(_plain(part), max(0, to_int(start) - 1))
    return at + 1 if at >= 0 else -1


def text_find_last(text: str, part: Any) -> int:
    """The 1-based position of the last occurrence of a part, or -1."""
    at = text.rfind(_plain(part))
    return at + 1 if at >= 0 else -1


def text_number(text: str) -> float:
    """The number at the start of a text; 0 when there is none."""
    text = text.strip()
    for end in range(min(len(text), 40), 0, -1):
        head = text[:end]
        if head[-1].isdigit() or head[-1] == ".":
            try:
                return float(head.replace("_", "x"))
            except ValueError:
                continue
    return 0.0


def number_text(value: Any, precision: Any = -1) -> str:
    """The text of a number, with a fixed number of decimals unless the precision is -1."""
    places = to_int(precision)
    if places < 0:
        return format_number(to_number(value))
    return f"{to_float(value):.{min(places, 50)}f}"


def old_number_text(value: Any, width: Any = 0, precision: Any = -1) -> str:
    """`numtostring(value, width, precision)`: padded with blanks on the left."""
    return number_text(value, precision).rjust(max(0, min(to_int(width), MAX_TEXT)))


def _padded(at_start: bool):
    def pad(text: str, length: Any, fill: Any = " ") -> str:
        fill, missing = to_text(fill) or " ", min(to_int(length), MAX_TEXT) - len(text)
        if missing <= 0:
            return text
        padding = (fill * (missing // len(fill) + 1))[:missing]
        return padding + text if at_start else text + padding

    return pad


def text_repeat(text: str, count: Any) -> str:
    """The text several times over."""
    times = max(0, to_int(count))
    if len(text) * times > MAX_TEXT:
        bounded_text(" " * (MAX_TEXT + 1))
    return text * times


def text_char(text: str, position: Any) -> str:
    """The character at a 1-based position, or an empty string."""
    at = to_int(position)
    return text[at - 1] if 1 <= at <= len(text) else ""


def text_code(text: str, position: Any = 1) -> int:
    """The code of the character at a 1-based position, or 0."""
    at = to_int(position)
    return ord(text[at - 1]) if 1 <= at <= len(text) else 0


def concatenate(*parts: Any) -> str:
    """All texts in a row."""
    return bounded_text("".join(map(to_text, parts)))


_TEXT_METHODS = {
    "substr": Command(text_substr, STRING, 1, 2),
    "slice": Command(text_slice, STRING, 1, 2),
    "split": Command(text_split, ARRAY, 0, 1),
    "replace": Command(text_replace, STRING, 2, 2),
    "indexOf": Command(text_find, INT, 1, 2),
    "lastIndexOf": Command(text_find_last, INT, 1, 1),
    "search": Command(text_find, INT, 1, 1),
    "includes": Command(lambda t, part: int(_plain(part) in t), INT, 1, 1),
    "startsWith": Command(lambda t, part: int(t.startswith(_plain(part))), INT, 1, 1),
    "endsWith": Command(lambda t, part: int(t.endswith(_plain(part))), INT, 1, 1),
    "trim": Command(lambda t: t.strip(), STRING, 0, 0),
    "toUpperCase": Command(lambda t: t.upper(), STRING, 0, 0),
    "toLowerCase": Command(lambda t: t.lower(), STRING, 0, 0),
    "toNum": Command(text_number, DOUBLE, 0, 0),
    "padStart": Command(_padded(True), STRING, 1, 2),
    "padEnd": Command(_padded(False), STRING, 1, 2),
    "repeat": Command(text_repeat, STRING, 1, 1),
    "charAt": Command(text_char, STRING, 1, 1),
    "charCodeAt": Command(text_code, INT, 0, 1),
    "concat": Command(concatenate, STRING, 1, 20),
}

# --- Arrays -----------------------------------------------------------------------------------------------------------


def array_push(array: list, *values: Any) -> int:
    """Appends values; returns the new length."""
    array.extend(map(copied, values))
    bounded_items(array)
    return len(array)


def array_pop(array: list) -> Any:
    """Removes and returns the last element."""
    if not array:
        raise Fault("Popping from empty array", code="array index")
    return array.pop()


def array_shift(array: list) -> Any:
    """Removes and returns the first element."""
    if not array:
        raise Fault("Shifting from empty array", code="array index")
    return array.pop(0)


def array_unshift(array: list, *values: Any) -> int:
    """Inserts values at the front; returns the new length."""
    array[:0] = map(copied, values)
    bounded_items(array)
    return len(array)


def array_append(array: list, other: Any) -> list:
    """Appends the elements of another array in place."""
    array.extend(list(to_array(other)))
    return bounded_items(array)


def array_concat(array: list, *others: Any) -> list:
    """A new array of this one's elements and those of the others."""
    result = list(array)
    for other in others:
        result.extend(to_array(other))
        bounded_items(result)
    return result


def array_fill(array: list, value: Any, start: Any = 1, end: Any = None) -> list:
    """Sets elements from `start` up to, not including, `end`."""
    first = max(1, to_int(start))
    last = len(array) + 1 if end is None else min(len(array) + 1, to_int(end))
    for i in range(first - 1, last - 1):
        array[i] = copied(value)
    return array


def array_find(array: list, value: Any, start: Any = 1) -> int:
    """The 1-based position of an element, or -1."""
    for i in range(max(0, to_int(start) - 1), len(array)):
        if equal(array[i], value):
            return i + 1
    return -1


def array_join(array: list, separator: Any = ",") -> str:
    """The texts of the elements with a separator between them."""
    return bounded_text(to_text(separator).join(to_text(v) for v in array))


def array_slice(array: list, start: Any = 1, end: Any = None) -> list:
    """A new array of the elements from `start` up to, not including, `end`."""
    length = len(array)
    first = to_int(start)
    last = length + 1 if end is None else to_int(end)
    first = first if first >= 0 else length + 1 + first
    last = last if last >= 0 else length + 1 + last
    if not 1 <= first <= length + 1 or last > length + 1:
        raise Fault("Index out of bounds on array slice() method", code="array index")
    return array[first - 1 : max(first, last) - 1]


def array_sort(array: list, *comparison: Any) -> list:
    """Sorts in place, numbers and strings upwards."""
    if comparison:
        raise Unsupported("sort() with a comparison function is not supported", hint="call sort() alone")

    def compare(a: Any, b: Any) -> int:
        return -1 if less(a, b) else int(less(b, a))

    array.sort(key=functools.cmp_to_key(compare))
    return array


def array_splice(array: list, start: Any, count: Any = None, replacement: Any = None) -> list:
    """Removes `count` elements from `start` on and puts those of another array in their place; returns the removed."""
    first = max(0, min(len(array), to_int(start) - 1))
    last = len(array) if count is None else min(len(array), first + max(0, to_int(count)))
    removed = array[first:last]
    array[first:last] = to_array(replacement)
    bounded_items(array)
    return removed


def array_set_length(array: list, length: Any) -> None:
    """Cuts an array, or extends it with Null."""
    wanted = to_int(length)
    if wanted > MAX_ITEMS:
        bounded_items([None] * (MAX_ITEMS + 1))
    del array[max(0, wanted) :]
    array.extend([None] * (wanted - len(array)))


def new_array(length: Any = 0, *more: Any) -> list:
    """`Array(n)`: an array of n Nulls."""
    if more:
        raise Fault("Array() takes a length", code="argument", hint="write [a, b] for an array of values")
    array: list = []
    array_set_length(array, length)
    return array


_ARRAY_METHODS = {
    "push": Command(array_push, INT, 1, 20),
    "pop": Command(array_pop, VARIANT, 0, 0),
    "shift": Command(array_shift, VARIANT, 0, 0),
    "unshift": Command(array_unshift, INT, 1, 20),
    "append": Command(array_append, ARRAY, 1, 1),
    "concat": Command(array_concat, ARRAY, 1, 20),
    "clone": Command(lambda a: list(a), ARRAY, 0, 0),
    "fill": Command(array_fill, ARRAY, 1, 3),
    "indexOf": Command(array_find, INT, 1, 2),
    "includes": Command(lambda a, value: int(array_find(a, value) > 0), INT, 1, 1),
    "join": Command(array_join, STRING, 0, 1),
    "reverse": Command(lambda a: a.reverse() or a, ARRAY, 0, 0),
    "slice": Command(array_slice, ARRAY, 0, 2),
    "sort": Command(array_sort, ARRAY, 0, 1),
    "splice": Command(array_splice, ARRAY, 1, 3),
}

# --- Maps -------------------------------------------------------------------------------------------------------------


def map_read(entries: dict, key: str) -> Any:
    """`m.Key`: raises when the key is absent."""
    if key not in entries:
        raise Fault(f"the Map has no key {key!r}", code="map key", hint="assign it first, or test with find()")
    return entries[key]


def map_remove(entries: dict, key: Any) -> Any:
    """Removes an entry and returns its value, or Null."""
    return entries.pop(map_key(key), None)


_MAP_METHODS = {
    "find": Command(lambda m, key: m.get(map_key(key)), VARIANT, 1, 1),
    "remove": Command(map_remove, VARIANT, 1, 1),
    "clone": Command(lambda m: dict(m), VARIANT, 0, 0),
    "clear": Command(lambda m: m.clear(), VARIANT, 0, 0),
}

# --- Vectors and colors -----------------------------------------------------------------------------------------------


def new_vec3(*values: Any) -> Vec3:
    """`Vec3(x, y, z)`, or a copy of a vector or an array."""
    if len(values) == 1 and isinstance(values[0], (Vec3, list)):
        vector = Vec3()
        vector.assign(values[0])
        return vector
    return Vec3(*map(to_number, values))


def new_color(*values: Any) -> Color:
    """`Color(r, g, b, a)` with components from 0 to 1, or a copy."""
    if len(values) == 1 and isinstance(values[0], (Color, list)):
        color = Color()
        color.assign(values[0])
        return color
    return Color(*map(to_number, values))


def _component_getters(names: str) -> dict:
    def getter(name: str):
        return lambda value: getattr(value, name)

    return {name: getter(name) for name in names}


def _component_setters(names: str) -> dict:
    def setter(name: str):
        return lambda value, number: setattr(value, name, to_number(number))

    return {name: setter(name) for name in names}


def _dot(a: Vec3, b: Any) -> float:
    return sum(to_float(p) * to_float(q) for p, q in zip(a, new_vec3(b), strict=True))


_VEC3_METHODS = {
    "clone": Command(Vec3.copy, VEC3, 0, 0),
    "copy": Command(Vec3.copy, VEC3, 0, 0),
    "dot": Command(_dot, DOUBLE, 1, 1),
    "toArray": Command(list, ARRAY, 0, 0),
}

_PALETTE = {
    "red": (1, 0, 0), "green": (0, 1, 0), "blue": (0, 0, 1), "yellow": (1, 1, 0), "orange": (1, 0.5, 0),
    "purple": (0.5, 0, 0.5), "lime": (0.5, 1, 0), "pink": (1, 0.5, 0.75), "gray": (0.5, 0.5, 0.5),
    "teal": (0, 0.5, 0.5), "aqua": (0, 1, 1), "brown": (0.5, 0.25, 0), "lightBlue": (0.5, 0.75, 1),
    "silver": (0.75, 0.75, 0.75), "white": (1, 1, 1), "black": (0, 0, 0),
}  # fmt: skip


def color_by_number(number: Any) -> Color:
    """A color for a number, the same one each time."""
    names = tuple(_PALETTE)
    return Color(*_PALETTE[names[to_int(number) % len(names)]])


def _array_length(array: list) -> int:
    return len(array)


def tables() -> tuple[Mapping[type, Members], Mapping[str, Namespace], Mapping[str, Command]]:
    """Returns the members by type, the namespaces, and the old commands on strings and arrays."""
    members = {
        str: Members({"length": len}, {}, _TEXT_METHODS),
        list: Members({"length": _array_length}, {"length": array_set_length}, _ARRAY_METHODS),
        dict: Members(
            {"keys": lambda m: list(m), "values": lambda m: list(m.values()), "length": len},
            {},
            _MAP_METHODS,
            missing=map_read,
            assign_missing=lambda m, key, value: m.__setitem__(key, copied(value)),
        ),
        Vec3: Members(
            {**_component_getters("xyz"), "magnitude": lambda v: _dot(v, v) ** 0.5},
            _component_setters("xyz"),
            _VEC3_METHODS,
        ),
        Color: Members(_component_getters("rgba"), _component_setters("rgba"), {}),
    }
    named_colors = {name: Command(functools.partial(Color, *rgb), "Color", 0, 0) for name, rgb in _PALETTE.items()}
    namespaces = {
        "string": Namespace(
            {"fromNum": Command(number_text, STRING, 1, 2), "fromCharCode": Command(_chr, STRING, 1, 1)}
        ),
        "Color": Namespace({"byNumber": Command(color_by_number, "Color", 1, 1)}, named_colors),
    }
    commands = {
        "Array": Command(new_array, ARRAY, 0, 1),
        "Map": Command(dict, VARIANT, 0, 0),
        "Vec3": Command(new_vec3, VEC3, 0, 3),
        "Color": Command(new_color, "Color", 0, 4),
        "makearray": Command(new_array, ARRAY, 1, 1),
        "arraysize": Command(lambda a: len(to_array(a)), INT, 1, 1),
        "concat": Command(concatenate, STRING, 1, 20),
        "stringlen": Command(lambda t: len(to_text(t)), INT, 1, 1),
        "stringtonum": Command(lambda t: text_number(to_text(t)), DOUBLE, 1, 1),
        "numtostring": Command(old_number_text, STRING, 1, 3),
        "stringcopy": Command(lambda t, *r: text_substr(to_text(t), *r), STRING, 2, 3),
        "stringpart": Command(lambda t, *r: text_substr(to_text(t), *r), STRING, 2, 3),
        "stringsearch": Command(lambda t, *r: text_find(to_text(t), *r), INT, 2, 3),
        "stringreplace": Command(lambda t, *r: text_replace(to_text(t), *r), STRING, 3, 3),
        "strascii": Command(_chr, STRING, 1, 1),
    }
    return members, namespaces, commands


def _chr(code: Any) -> str:
    number = to_int(code)
    return chr(number) if 0 < number < 0x110000 and not 0xD800 <= number < 0xE000 else ""


def shown(values: tuple) -> str:
    """The line that `print(values...)` writes."""
    return " ".join(map(display, values))
