"""Vectors of two, three and four numbers, and colors: values that are copied when they are assigned."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, ClassVar

from vlsm_jax.flexscript.conversions import ValueType, describe, format_number, to_float, to_number
from vlsm_jax.flexscript.faults import Fault


class Components(ValueType):
    """A value made of a fixed number of numbers, with operators component by component.

    Attributes:
      names: of the components, in order.
      default: their values where an array gives fewer.
    """

    __slots__ = ()
    names: ClassVar[str] = ""
    default: ClassVar[tuple[float, ...]] = ()

    def assign(self, value: Any) -> None:
        """Takes the components of a vector, of a color or of an array of numbers; raises `Fault` for anything else."""
        for name, number in zip(self.names, components(value, len(self.names), self.default), strict=True):
            setattr(self, name, number)

    def copy(self) -> Any:
        """Returns a value that shares nothing with this one."""
        return type(self)(*self)

    def __iter__(self) -> Iterator[float]:
        return iter([getattr(self, name) for name in self.names])

    def __str__(self) -> str:
        return f"{self.type_name}({', '.join(format_number(to_number(v)) for v in self)})"

    def _other(self, other: Any) -> tuple[float, ...] | None:
        """The components of the other operand: those of a value of the same type or of an array; None for others."""
        if type(other) is type(self):
            return tuple(other)
        return components(other, len(self.names), self.default) if type(other) is list else None

    def plus(self, other: Any) -> Any:
        """Component by component."""
        numbers = self._other(other)
        return NotImplemented if numbers is None else type(self)(*(a + b for a, b in zip(self, numbers, strict=True)))

    def minus(self, other: Any) -> Any:
        """Component by component."""
        numbers = self._other(other)
        return NotImplemented if numbers is None else type(self)(*(a - b for a, b in zip(self, numbers, strict=True)))

    def times(self, other: Any) -> Any:
        """By a number, or component by component."""
        if isinstance(other, (int, float)):
            return type(self)(*(a * other for a in self))
        numbers = self._other(other)
        return NotImplemented if numbers is None else type(self)(*(a * b for a, b in zip(self, numbers, strict=True)))

    def over(self, other: Any) -> Any:
        """By a number, or component by component; raises `Fault` when a divisor is 0."""
        numbers = (other,) * len(self.names) if isinstance(other, (int, float)) else self._other(other)
        if numbers is None:
            return NotImplemented
        if 0 in numbers:
            raise Fault("Divide by zero error: denominator is 0")
        return type(self)(*(a / b for a, b in zip(self, numbers, strict=True)))

    def negative(self) -> Any:
        """Every component negated."""
        return type(self)(*(-a for a in self))

    def same(self, other: Any) -> bool:
        """Whether all components are equal."""
        return type(other) is type(self) and tuple(self) == tuple(other)

    def lerp(self, target: Any, ratio: Any) -> Any:
        """The value on the way to another one: 0 is here, 1 is there."""
        numbers = self._other(target)
        if numbers is None:
            raise Fault(f"lerp() needs a {self.type_name}, not {describe(target)}", code="argument")
        t = to_float(ratio)
        return type(self)(*(a + (b - a) * t for a, b in zip(self, numbers, strict=True)))

    def dot(self, other: Any) -> float:
        """The sum of the products of the components."""
        numbers = self._other(other)
        if numbers is None:
            raise Fault(f"dot() needs a {self.type_name}, not {describe(other)}", code="argument")
        return math.fsum(to_float(a) * to_float(b) for a, b in zip(self, numbers, strict=True))

    def magnitude(self) -> float:
        """The length."""
        return math.hypot(*self)

    def normalized(self) -> Any:
        """The vector of length 1 in the same direction; itself where it has no length."""
        length = self.magnitude()
        return self.copy() if length == 0 else self.over(length)

    def angle(self, other: Any) -> float:
        """The angle to another vector, in degrees."""
        numbers = self._other(other)
        lengths = self.magnitude() * (math.hypot(*numbers) if numbers else 0.0)
        if lengths == 0:
            return 0.0
        return math.degrees(math.acos(max(-1.0, min(1.0, self.dot(other) / lengths))))


class Vec2(Components):
    """A mutable vector; `x` and `y` are numbers."""

    __slots__ = ("x", "y")
    type_name = "Vec2"
    names = "xy"
    default = (0, 0)

    def __init__(self, x: float = 0, y: float = 0):
        self.x = x
        self.y = y

    def rotate(self, degrees: Any, around: Any = None) -> Vec2:
        """The vector turned counterclockwise about a point, the origin unless another is given."""
        center = Vec2()
        if around is not None:
            center.assign(around)
        angle, dx, dy = math.radians(to_float(degrees)), self.x - center.x, self.y - center.y
        cosine, sine = math.cos(angle), math.sin(angle)
        return Vec2(center.x + dx * cosine - dy * sine, center.y + dx * sine + dy * cosine)


class Vec3(Components):
    """A mutable vector; `x`, `y` and `z` are numbers."""

    __slots__ = ("x", "y", "z")
    type_name = "Vec3"
    names = "xyz"
    default = (0, 0, 0)

    def __init__(self, x: float = 0, y: float = 0, z: float = 0):
        self.x = x
        self.y = y
        self.z = z

    def assign(self, value: Any) -> None:
        """As for every vector, without a loop: a script places every object."""
        self.x, self.y, self.z = components(value, 3, self.default)

    def __iter__(self) -> Iterator[float]:
        return iter((self.x, self.y, self.z))

    def cross(self, other: Any) -> Vec3:
        """The vector at right angles to both."""
        numbers = self._other(other)
        if numbers is None:
            raise Fault(f"cross() needs a Vec3, not {describe(other)}", code="argument")
        x, y, z = numbers
        return Vec3(self.y * z - self.z * y, self.z * x - self.x * z, self.x * y - self.y * x)


class Vec4(Components):
    """A mutable vector; `x`, `y`, `z` and `w` are numbers."""

    __slots__ = ("w", "x", "y", "z")
    type_name = "Vec4"
    names = "xyzw"
    default = (0, 0, 0, 0)

    def __init__(self, x: float = 0, y: float = 0, z: float = 0, w: float = 0):
        self.x = x
        self.y = y
        self.z = z
        self.w = w


class Color(Components):
    """A mutable color; components from 0 to 1."""

    __slots__ = ("a", "b", "g", "r")
    type_name = "Color"
    names = "rgba"
    default = (0, 0, 0, 1)

    def __init__(self, r: float = 0, g: float = 0, b: float = 0, a: float = 1):
        self.r = r
        self.g = g
        self.b = b
        self.a = a


def components(value: Any, count: int, default: tuple = (0, 0, 0, 0)) -> tuple:
    """Returns `count` numbers of a vector, a color or an array; raises `Fault` for anything else."""
    if isinstance(value, (Components, list)):
        numbers = [to_number(v) for v in value][:count]
        return (*numbers, *default[len(numbers) : count])
    raise Fault(f"expected a vector or an array of {count} numbers, got {describe(value)}", code="type")


def made(kind: type[Components], values: tuple) -> Any:
    """What `Vec3(...)` and its kin give: one number for every component, one value to copy, or the components."""
    if len(values) == 1:
        (value,) = values
        if isinstance(value, (Components, list)):
            result = kind()
            result.assign(value)
            return result
        if kind is not Color:
            return kind(*[to_number(value)] * len(kind.names))
    return kind(*map(to_number, values))
