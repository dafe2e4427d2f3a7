"""`DateTime`: a point in time, or a length of it, in seconds since the first of January 1601."""

from __future__ import annotations

import datetime
import math
import re
from collections.abc import Callable, Mapping
from typing import Any

from vlsm_jax.flexscript.conversions import ValueType, describe, to_float, to_int, to_number
from vlsm_jax.flexscript.faults import Fault
from vlsm_jax.flexscript.vocabulary import DATETIME, STRING, Command, Members, Namespace, TypeSpec

_ORIGIN = datetime.datetime(1601, 1, 1)
_EXCEL_ORIGIN = datetime.datetime(1899, 12, 30)
_LAST = (datetime.datetime(9999, 12, 31) - _ORIGIN).total_seconds()
_DAY, _HOUR, _MINUTE = 86400.0, 3600.0, 60.0
FORMAT = "%Y-%m-%d %H:%M:%S"
"""How a DateTime is written where no format is given."""

_FORMATS = (
    FORMAT, "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M", "%Y-%m-%d", "%m/%d/%Y %H:%M:%S", "%m/%d/%Y %I:%M:%S %p",
    "%m/%d/%Y %H:%M", "%m/%d/%Y %I:%M %p", "%m/%d/%Y",
)  # fmt: skip
_LETTERS = {
    "yyyy": "%Y", "yy": "%y", "MMMM": "%B", "MMM": "%b", "MM": "%m", "M": "%m", "dddd": "%A", "ddd": "%a",
    "dd": "%d", "d": "%d", "HH": "%H", "H": "%H", "hh": "%I", "h": "%I", "mm": "%M", "m": "%M", "ss": "%S",
    "s": "%S", "tt": "%p",
}  # fmt: skip
_LETTER_GROUP = re.compile("y{4}|y{2}|M{1,4}|d{1,4}|H{1,2}|h{1,2}|m{1,2}|s{1,2}|tt")
_KNOWN_CODES = frozenset("aAbBdHIjmMpSyYf%")


class DateTime(ValueType):
    """Seconds since 1601; two of them add and subtract, and compare.

    Attributes:
      seconds: a double.
    """

    __slots__ = ("seconds",)
    type_name = "DateTime"

    def __init__(self, seconds: float = 0.0):
        self.seconds = seconds

    def __str__(self) -> str:
        return self.formatted(FORMAT) if 0 <= self.seconds < _LAST else f"DateTime({self.seconds:g})"

    def copy(self) -> DateTime:
        """Returns itself: a DateTime never changes."""
        return self

    def number(self) -> float:
        """The seconds."""
        return self.seconds

    def text(self) -> str:
        """As `toString()` writes it."""
        return str(self)

    def plus(self, other: Any) -> Any:
        """A DateTime or a number of seconds later."""
        seconds = self._seconds_of(other)
        return NotImplemented if seconds is None else DateTime(self.seconds + seconds)

    def minus(self, other: Any) -> Any:
        """A DateTime or a number of seconds earlier."""
        seconds = self._seconds_of(other)
        return NotImplemented if seconds is None else DateTime(self.seconds - seconds)

    def same(self, other: Any) -> bool:
        """Whether both are the same second."""
        return type(other) is DateTime and other.seconds == self.seconds

    def below(self, other: Any) -> bool:
        """Whether this one is earlier."""
        seconds = self._seconds_of(other)
        return seconds is not None and self.seconds < seconds

    @staticmethod
    def _seconds_of(value: Any) -> float | None:
        if type(value) is DateTime:
            return value.seconds
        return float(value) if isinstance(value, (int, float)) else None

    def moment(self) -> datetime.datetime:
        """The point in time; raises `Fault` outside of the years 1601 to 9999."""
        if not 0 <= self.seconds < _LAST:
            raise Fault("the DateTime lies outside of the years 1601 to 9999", code="date")
        return _ORIGIN + datetime.timedelta(seconds=self.seconds)

    def formatted(self, form: Any = FORMAT) -> str:
        """`toString(format)`: a format of `%Y` and its kin, or one of `yyyy` and its kin."""
        if not isinstance(form, str):
            raise Fault(f"a format is a string, not {describe(form)}", code="argument")
        return self.moment().strftime(_codes(form))


def _codes(form: str) -> str:
    """Returns a format in the letters of strftime; raises `Fault` for a code that it does not have."""
    if len(form) > 200:
        raise Fault("a format has more than 200 characters", code="argument")
    if "%" not in form:
        form = _LETTER_GROUP.sub(lambda match: _LETTERS[match[0]], form)
    for code in re.findall("%(.?)", form):
        if code not in _KNOWN_CODES or not code:
            raise Fault(f"unknown code %{code} in the format {form!r}", code="argument", hint="for example %Y-%m-%d")
    return form


def new_datetime(value: Any = 0, form: Any = None) -> DateTime:
    """`DateTime(seconds)`, `DateTime(text)` or `DateTime(text, format)`; raises `Fault` for a text that is no date."""
    if isinstance(value, DateTime):
        return value
    if not isinstance(value, str):
        return DateTime(_finite(to_number(value)))
    forms = _FORMATS if form is None else (_codes(form) if isinstance(form, str) else "",)
    for candidate in forms:
        try:
            return DateTime((datetime.datetime.strptime(value, candidate) - _ORIGIN).total_seconds())
        except (ValueError, re.error):
            continue
    hint = "" if form is not None else 'give a format: DateTime("15.2.2024", "%d.%m.%Y")'
    raise Fault(f"{value[:60]!r} is no date{f' of the format {form!r}' if form is not None else ''}", code="date",
                hint=hint)  # fmt: skip


def compose(year: Any, month: Any = 1, day: Any = 1, hour: Any = 0, minute: Any = 0, second: Any = 0,
            millisecond: Any = 0) -> DateTime:  # fmt: skip
    """`DateTime.compose(year, month, day, ...)`; raises `Fault` for a date that is none."""
    parts = [to_int(part) for part in (year, month, day, hour, minute, second)]
    try:
        moment = datetime.datetime(*parts) + datetime.timedelta(milliseconds=to_int(millisecond))
    except (ValueError, OverflowError) as error:
        raise Fault(f"that is no date: {error}", code="date") from None
    return DateTime((moment - _ORIGIN).total_seconds())


def _finite(seconds: float) -> float:
    if not math.isfinite(seconds):
        raise Fault("a DateTime needs a finite number", code="date")
    return float(seconds)


def _of(unit: float) -> Callable[[Any], DateTime]:
    return lambda count: DateTime(_finite(to_float(count) * unit))


def _total(unit: float) -> Callable[[DateTime], float]:
    return lambda value: value.seconds / unit


def _to_datetime(value: Any) -> DateTime:
    return DateTime() if value is None else new_datetime(value)


def members() -> Members:
    """Returns what stands behind the dot of a DateTime."""
    return Members(
        {
            "year": lambda d: d.moment().year,
            "month": lambda d: d.moment().month,
            "day": lambda d: d.moment().day,
            "dayOfWeek": lambda d: d.moment().isoweekday() % 7 + 1,
            "hour": lambda d: d.moment().hour,
            "minute": lambda d: d.moment().minute,
            "second": lambda d: d.moment().second,
            "millisecond": lambda d: d.moment().microsecond // 1000,
            "totalDays": _total(_DAY),
            "totalHours": _total(_HOUR),
            "totalMinutes": _total(_MINUTE),
            "totalSeconds": _total(1.0),
            "totalMilliseconds": _total(0.001),
            "value": lambda d: d.seconds,
        },
        {},
        {"toString": Command(DateTime.formatted, STRING, 0, 1)},
    )


def namespace() -> Namespace:
    """Returns what stands behind `DateTime.`."""
    origin = (_EXCEL_ORIGIN - _ORIGIN).total_seconds()
    return Namespace(
        {
            "compose": Command(compose, DATETIME, 1, 7),
            "days": Command(_of(_DAY), DATETIME, 1, 1),
            "hours": Command(_of(_HOUR), DATETIME, 1, 1),
            "minutes": Command(_of(_MINUTE), DATETIME, 1, 1),
            "seconds": Command(_of(1.0), DATETIME, 1, 1),
            "milliseconds": Command(_of(0.001), DATETIME, 1, 1),
            "fromExcelTime": Command(lambda days: DateTime(_finite(to_float(days) * _DAY + origin)), DATETIME, 1, 1),
        }
    )


def types() -> Mapping[str, TypeSpec]:
    """Returns the type `DateTime`."""
    return {"DateTime": TypeSpec(DATETIME, DateTime, _to_datetime)}


def commands() -> Mapping[str, Command]:
    """Returns the constructor."""
    return {"DateTime": Command(new_datetime, DATETIME, 0, 2)}
