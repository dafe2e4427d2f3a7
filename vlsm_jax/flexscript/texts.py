"""Methods of strings. Positions count the bytes of UTF-8 from 1, as in FlexSim: in plain ASCII they count characters.

A position within a character of several bytes means that character, wherever in it the position points.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from vlsm_jax.flexscript.conversions import (
    MAX_ITEMS,
    MAX_TEXT,
    bounded_items,
    bounded_text,
    describe,
    format_number,
    to_float,
    to_int,
    to_number,
    to_text,
)
from vlsm_jax.flexscript.faults import Fault
from vlsm_jax.flexscript.patterns import Pattern
from vlsm_jax.flexscript.vocabulary import ARRAY, DOUBLE, INT, STRING, Command, Members, Namespace

# --- Bytes ------------------------------------------------------------------------------------------------------------


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def text_length(text: str) -> int:
    """The number of bytes."""
    return len(text) if text.isascii() else len(_bytes(text))


def part(text: str, first: int, last: int) -> str:
    """The characters that have a byte among those from `first` up to, not including, `last`, both from 0."""
    first = max(0, first)
    if last <= first:
        return ""
    if text.isascii():
        return text[first:last]
    data = _bytes(text)
    last = min(last, len(data))
    while 0 < first < len(data) and data[first] & 0xC0 == 0x80:
        first -= 1
    while last < len(data) and data[last] & 0xC0 == 0x80:
        last += 1
    return data[first:last].decode("utf-8", "surrogatepass")


def _position(text: str, character: int) -> int:
    """The 1-based byte at which a character stands, -1 for -1."""
    if character < 0:
        return -1
    return character + 1 if text.isascii() else len(_bytes(text[:character])) + 1


def _character(text: str, position: Any) -> int:
    """The index of the character at a 1-based byte; the length of the text behind its end."""
    at = max(0, to_int(position) - 1)
    return at if text.isascii() else len(_bytes(text)[:at].decode("utf-8", "ignore"))


# --- Parts ------------------------------------------------------------------------------------------------------------


def text_slice(text: str, start: Any, end: Any = None) -> str:
    """Bytes from `start` up to, not including, `end`, both from 1; negative positions count from the end."""
    length = text_length(text)
    first = to_int(start)
    last = length + 1 if end is None else to_int(end)
    first = max(1, first if first >= 0 else length + 1 + first)
    last = last if last >= 0 else length + 1 + last
    return part(text, first - 1, last - 1)


def text_substr(text: str, start: Any, length: Any = None) -> str:
    """`length` bytes from the 1-based position `start`."""
    first = max(1, to_int(start)) - 1
    return part(text, first, text_length(text) if length is None else first + max(0, to_int(length)))


def text_char(text: str, position: Any) -> str:
    """The character at a 1-based position, or an empty string."""
    at = to_int(position) - 1
    return part(text, at, at + 1) if at >= 0 else ""


def text_code(text: str, position: Any = 1) -> int:
    """The code of the character at a 1-based position, or 0."""
    char = text_char(text, position)
    return ord(char) if char else 0


def text_split(text: str, separator: Any = "") -> list:
    """An array of the parts between separators; of the characters when the separator is empty."""
    if isinstance(separator, Pattern):
        return bounded_items(separator.split(text))
    separator = _plain(separator)
    if not separator:
        return bounded_items(list(text))
    return bounded_items(text.split(separator, MAX_ITEMS))


# --- Searching --------------------------------------------------------------------------------------------------------


def _plain(value: Any) -> str:
    """A string to search for; raises `Fault` for anything else."""
    if not isinstance(value, str):
        raise Fault(f"expected a string, got {describe(value)}", code="argument")
    return value


def text_find(text: str, what: Any, start: Any = 1) -> int:
    """The 1-based position of a part, or -1."""
    return _position(text, text.find(_plain(what), _character(text, start)))


def text_find_last(text: str, what: Any) -> int:
    """The 1-based position of the last occurrence of a part, or -1."""
    return _position(text, text.rfind(_plain(what)))


def text_search(text: str, what: Any) -> int:
    """The 1-based position of the first match of a string or of a regular expression, or -1."""
    if not isinstance(what, Pattern):
        return text_find(text, what)
    match = what.find(text)
    return _position(text, match.start() if match else -1)


def text_match(text: str, what: Any) -> list:
    """An array of the first match and its groups or, with the flag g, of all matches; empty where there is none."""
    if not isinstance(what, Pattern):
        return [what] if _plain(what) in text else []
    if what.every:
        return bounded_items([match[0] for match in what.matches(text)])
    match = what.find(text)
    return [match[0], *(group or "" for group in match.groups())] if match else []


def text_includes(text: str, what: Any) -> int:
    """Whether a string or a match of a regular expression stands in the text."""
    return int(what.find(text) is not None if isinstance(what, Pattern) else _plain(what) in text)


def text_replace(text: str, old: Any, new: Any) -> str:
    """The text with every `old` replaced; of a regular expression without the flag g only its first match."""
    new = to_text(new)
    if isinstance(old, Pattern):
        return old.replaced(text, new)
    old = _plain(old)
    if not old:
        return text
    if len(new) > len(old):
        bounded_text(" " * min(len(text) + text.count(old) * (len(new) - len(old)), MAX_TEXT + 1))
    return text.replace(old, new)


# --- Building ---------------------------------------------------------------------------------------------------------


def _padded(at_start: bool):
    def pad(text: str, length: Any, fill: Any = " ") -> str:
        fill, missing = to_text(fill) or " ", min(to_int(length), MAX_TEXT) - text_length(text)
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


def concatenate(*parts: Any) -> str:
    """All texts in a row."""
    return bounded_text("".join(map(to_text, parts)))


# --- Numbers ----------------------------------------------------------------------------------------------------------


def text_number(text: str) -> float:
    """The number at the start of a text; 0 when there is none."""
    text = text.strip()
    for end in range(min(len(text), 40), 0, -1):
        head = text[:end]
        if head[-1] in "0123456789.":
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
    return f"{to_float(value):.{int(min(places, 50))}f}"


def old_number_text(value: Any, width: Any = 0, precision: Any = -1) -> str:
    """`numtostring(value, width, precision)`: padded with blanks on the left."""
    return number_text(value, precision).rjust(max(0, min(to_int(width), MAX_TEXT)))


def character_of(code: Any) -> str:
    """The character of a code, or an empty string."""
    number = to_int(code)
    return chr(number) if 0 < number < 0x110000 and not 0xD800 <= number < 0xE000 else ""


def _compare(a: Any, b: Any, ignore_case: Any = 0) -> int:
    """1 when both texts are the same."""
    a, b = to_text(a), to_text(b)
    return int(a.lower() == b.lower() if to_int(ignore_case) else a == b)


def _order(a: Any, b: Any) -> int:
    """Below 0, 0 or above 0, as the first text stands before, at or behind the second one."""
    first, second = _bytes(to_text(a)), _bytes(to_text(b))
    return (first > second) - (first < second)


def _old_search(text: Any, what: Any, start: Any = 1, flags: Any = 0) -> int:
    """`stringsearch(text, part, start, flags)`: the position, or -1; flag 1 ignores case."""
    text, what = to_text(text), to_text(what)
    if to_int(flags) & 1:
        text, what = text.lower(), what.lower()
    return text_find(text, what, start)


_METHODS = {
    "substr": Command(text_substr, STRING, 1, 2),
    "slice": Command(text_slice, STRING, 1, 2),
    "split": Command(text_split, ARRAY, 0, 1),
    "replace": Command(text_replace, STRING, 2, 2),
    "match": Command(text_match, ARRAY, 1, 1),
    "indexOf": Command(text_find, INT, 1, 2),
    "lastIndexOf": Command(text_find_last, INT, 1, 1),
    "search": Command(text_search, INT, 1, 1),
    "includes": Command(text_includes, INT, 1, 1),
    "startsWith": Command(lambda t, part: int(t.startswith(_plain(part))), INT, 1, 1),
    "endsWith": Command(lambda t, part: int(t.endswith(_plain(part))), INT, 1, 1),
    "trim": Command(lambda t: t.strip(), STRING, 0, 0),
    "trimStart": Command(lambda t: t.lstrip(), STRING, 0, 0),
    "trimEnd": Command(lambda t: t.rstrip(), STRING, 0, 0),
    "toUpperCase": Command(lambda t: t.upper(), STRING, 0, 0),
    "toLowerCase": Command(lambda t: t.lower(), STRING, 0, 0),
    "toNum": Command(text_number, DOUBLE, 0, 0),
    "padStart": Command(_padded(True), STRING, 1, 2),
    "padEnd": Command(_padded(False), STRING, 1, 2),
    "repeat": Command(text_repeat, STRING, 1, 1),
    "charAt": Command(text_char, STRING, 1, 1),
    "charCodeAt": Command(text_code, INT, 0, 1),
    "concat": Command(concatenate, STRING, 1, 20),
    "localeCompare": Command(_order, INT, 1, 1),
}


def members() -> Members:
    """Returns what stands behind the dot of a string."""
    return Members({"length": text_length, "type": lambda text: 2}, {}, _METHODS)


def namespace() -> Namespace:
    """Returns what stands behind `string.`."""
    return Namespace(
        {
            "fromNum": Command(number_text, STRING, 1, 2),
            "fromCharCode": Command(lambda *codes: "".join(map(character_of, codes)), STRING, 1, 20),
        }
    )


def commands() -> Mapping[str, Command]:
    """Returns the old commands on strings."""
    return {
        "string": Command(to_text, STRING, 1, 1),
        "concat": Command(concatenate, STRING, 1, 20),
        "stringlen": Command(lambda t: text_length(to_text(t)), INT, 1, 1),
        "stringtonum": Command(lambda t: text_number(to_text(t)), DOUBLE, 1, 1),
        "numtostring": Command(old_number_text, STRING, 1, 3),
        "stringcopy": Command(lambda t, *r: text_substr(to_text(t), *r), STRING, 2, 3),
        "stringpart": Command(lambda t, *r: text_substr(to_text(t), *r), STRING, 2, 3),
        "stringsearch": Command(_old_search, INT, 2, 4),
        "stringreplace": Command(lambda t, *r: text_replace(to_text(t), *r), STRING, 3, 3),
        "comparetext": Command(_compare, INT, 2, 3),
        "stringcompare": Command(_order, INT, 2, 2),
        "strascii": Command(character_of, STRING, 1, 1),
        "asciistr": Command(lambda t, at=1: text_code(to_text(t), at), INT, 1, 2),
        "strquote": Command(lambda t: bounded_text(f'"{to_text(t)}"'), STRING, 1, 1),
        "apchar": Command(to_text, STRING, 1, 1),
        "stringtopchar": Command(to_text, STRING, 1, 1),
        "tostring": Command(to_text, STRING, 1, 1),
    }
