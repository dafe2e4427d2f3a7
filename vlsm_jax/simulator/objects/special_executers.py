"""Executers that do not drive: Robot, Crane, ASRSvehicle and Elevator reach for items by offset moves only.

None of them has a navigator, so a travel task moves them only where they are attached to a network.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from vlsm_jax.flexscript import Fault, Unsupported, parse_expression, syntax
from vlsm_jax.flexscript.values import to_float
from vlsm_jax.simulator.objects import travel
from vlsm_jax.simulator.objects.executer import TaskExecuter
from vlsm_jax.simulator.objects.item import Item
from vlsm_jax.simulator.objects.travel import Move, Point
from vlsm_jax.twin import Code

if TYPE_CHECKING:
    from vlsm_jax.simulator.binding import Binding

ROBOT_MOVE_TIME = 1.0
"""Seconds of a move of a Robot whose MoveTime is not set; FlexSim's own default is not established."""

ROBOT_TURN = 90.0
"""Degrees per second of a joint whose speed is not set; FlexSim's own default is not established."""

DEFAULT_LIFT = 1.0
"""Metres per second of a lift, or of an arm, whose speed is not set; FlexSim's own default is not established."""


class _Fixed(TaskExecuter):
    """An executer whose base stays where it is; its position is that of its hand, hoist or platform."""

    __slots__ = ()

    navigates = False

    def _show_place(self) -> None:
        """The location in the tree is that of the base."""


class Robot(_Fixed):
    """Swings its hand to the item: in MoveTime, or by its joints.

    "Move Time" takes MoveTime for every move between two different points. "Simple Motion Method" turns about z and y
    and extends, all at the same time: the slowest of the three decides. The reach of the arm is not limited. The other
    modes, "Joint Speeds" and "Motion Paths", need the geometry of six joints and are not supported.

    Attributes:
      mode: the motion mode.
      move_time: gives the seconds of a move.
      turn_speed, tilt_speed: degrees per second.
      extension_speed: m/s.
    """

    __slots__ = ("extension_speed", "mode", "move_time", "tilt_speed", "turn_speed")

    def configure(self, binding: Binding) -> None:
        node = self.node
        self.mode = str(binding.setting(node, "MotionMode"))
        if self.mode == "Move Time":
            if binding.setting(node, "MoveTime") is None:
                self.move_time = lambda item: ROBOT_MOVE_TIME
                binding.world.warn("assumed", f"MoveTime of {self.name!r} is not set; {ROBOT_MOVE_TIME:g} s is assumed")
            else:
                self.move_time = binding.duration(node, "MoveTime")
        elif self.mode == "Simple Motion Method":
            self.turn_speed = _speed(binding, self, "ZRotationSpeed", ROBOT_TURN, "deg/s")
            self.tilt_speed = _speed(binding, self, "YRotationSpeed", ROBOT_TURN, "deg/s")
            self.extension_speed = _speed(binding, self, "ExtensionSpeed", DEFAULT_LIFT, "m/s")

    def offset_to(self, target: Point, item: Item | None) -> Move | None:
        if self.position == target:
            return None
        if self.mode == "Move Time":
            return travel.timed(self.position, target, self.move_time(item))
        if self.mode == "Simple Motion Method":
            return travel.timed(self.position, target, self._swing(target))
        raise Unsupported(
            f"{self.name!r} moves by {self.mode!r}, which is not supported",
            hint='set MotionMode to "Move Time" or "Simple Motion Method"',
        )

    def _swing(self, target: Point) -> float:
        base = travel.reference_point(self.node)
        before = [at - origin for at, origin in zip(self.position, base, strict=True)]
        after = [at - origin for at, origin in zip(target, base, strict=True)]
        turn = tilt = 0.0
        flat_before, flat_after = math.hypot(*before[:2]), math.hypot(*after[:2])
        if flat_before > 0 and flat_after > 0:
            turn = math.degrees(math.atan2(after[1], after[0]) - math.atan2(before[1], before[0]))
            turn = abs((turn + 180) % 360 - 180)
        if (flat_before or before[2]) and (flat_after or after[2]):
            tilt = abs(math.degrees(math.atan2(after[2], flat_after) - math.atan2(before[2], flat_before)))
        reach = abs(math.hypot(*after) - math.hypot(*before))
        return max(turn / self.turn_speed, tilt / self.tilt_speed, reach / self.extension_speed)


class Crane(_Fixed):
    """Moves its hoist by the steps of TravelSequence, such as "L>XY>D": lift, gantry and trolley at once, drop.

    Letters of one step move at the same time, each by the trapezoid of its axis; the slowest decides. L lifts to
    LiftHeight, by default the height of the crane; D drops to the target, for an item to its top.

    Attributes:
      steps: of letters X, Y, L and D.
      height: metres above the base of the crane.
      axes: (speed, acceleration, deceleration) along x, y and z.
    """

    __slots__ = ("axes", "height", "steps")

    def configure(self, binding: Binding) -> None:
        node = self.node
        text = str(binding.setting(node, "TravelSequence") or "L>XY>D").upper().replace(" ", "")
        if not set(text) <= set("LXYD>"):
            raise Fault(
                f"TravelSequence of {self.name!r} is {text!r}", code="value", hint='letters L, X, Y and D: "L>XY>D"'
            )
        self.steps = [step for step in text.split(">") if step]
        height = binding.setting(node, "LiftHeight")
        self.height = binding.number(node, "LiftHeight") if height is not None else to_float(node.size.z)
        own = (self.speed, self.acceleration, self.deceleration)
        rows = _rows(node.settings.get("CraneSpeeds"))
        if rows is None:
            self.axes = [own] * 3
        else:
            if any(len(row) != 3 for row in rows) or len(rows) != 3:
                raise Fault(
                    f"CraneSpeeds of {self.name!r} is not understood",
                    code="value",
                    hint="give rows for x, y and z of [speed, acceleration, deceleration]",
                )
            self.axes = rows

    def offset_to(self, target: Point, item: Item | None) -> Move | None:
        x, y, z = target
        goal = (x, y, z + travel.item_size(item)[2]) if item is not None else target
        if self.position == goal:
            return None
        top = travel.reference_point(self.node)[2] + self.height
        at = list(self.position)
        points, seconds = [self.position], 0.0
        for step in self.steps:
            slowest = 0.0
            for letter in step:
                axis = "XYLD".index(letter) if letter in "XYL" else 2
                aim = max(top, at[2]) if letter == "L" else goal[axis]
                slowest = max(slowest, self._along(axis, abs(aim - at[axis])))
                at[axis] = aim
            seconds += slowest
            points.append(tuple(at))
        if seconds <= 0:
            self.position = tuple(at)
            return None
        length = travel.along(points)
        return Move(tuple(points), travel.Profile(length, length / seconds, 0.0, 0.0, seconds), seconds)

    def _along(self, axis: int, distance: float) -> float:
        if distance <= 0:
            return 0.0
        speed, acceleration, deceleration = self.axes[axis]
        what = f"the speed of {self.name!r} along {'xyz'[axis]}"
        return travel.trapezoid(
            distance, travel.positive_speed(speed, what), acceleration, deceleration
        ).duration  # fmt: skip


class ASRSvehicle(TaskExecuter):
    """Drives along its own x axis and lifts its platform at the same time, until it is level with the item.

    Where ExtensionSpeed is set, the arm then reaches across the aisle; else the reach takes no time of its own.

    Attributes:
      lift_speed, extension_speed: m/s, steady; no reach for an extension speed of 0.
      rest_height: metres of the platform above the base at the start.
    """

    __slots__ = ("extension_speed", "lift_speed", "rest_height")

    navigates = False

    def configure(self, binding: Binding) -> None:
        self.lift_speed = _speed(binding, self, "LiftSpeed", DEFAULT_LIFT, "m/s")
        reaches = binding.setting(self.node, "ExtensionSpeed") is not None
        self.extension_speed = max(0.0, binding.number(self.node, "ExtensionSpeed")) if reaches else 0.0
        rests = binding.setting(self.node, "InitialLiftHeight") is not None
        self.rest_height = binding.number(self.node, "InitialLiftHeight") if rests else 0.0

    def rest_position(self) -> Point:
        x, y, z = super().rest_position()
        return x, y, z + self.rest_height

    def _show_place(self) -> None:
        x, y, _ = self.position
        size, location = self.node.size, self.node.location
        location.x, location.y = x - size.x / 2, y + size.y / 2

    def offset_to(self, target: Point, item: Item | None) -> Move | None:
        turned = math.radians(to_float(self.node.rotation.z))
        axis = (math.cos(turned), math.sin(turned))
        way = [to - at for at, to in zip(self.position, target, strict=True)]
        drive = way[0] * axis[0] + way[1] * axis[1]
        reach = abs(way[1] * axis[0] - way[0] * axis[1]) if item is not None and self.extension_speed else 0.0
        drive = drive if abs(drive) > 1e-9 else 0.0
        lift = abs(way[2]) / self.lift_speed
        seconds = max(self.profile(abs(drive)).duration, lift)
        if self.extension_speed:
            seconds += reach / self.extension_speed
        if seconds <= 0:
            return None
        end = (self.position[0] + drive * axis[0], self.position[1] + drive * axis[1], target[2])
        return travel.timed(self.position, end, seconds)


class Elevator(_Fixed):
    """Moves its platform up and down, by the trapezoid of MaxSpeed; x and y do not count."""

    __slots__ = ()

    def offset_to(self, target: Point, item: Item | None) -> Move | None:
        x, y, z = self.position
        if target[2] == z:
            return None
        return travel.straight(self.position, (x, y, target[2]), self.profile(abs(target[2] - z)))


def _speed(binding: Binding, executer: TaskExecuter, name: str, assumed: float, unit: str) -> float:
    """Returns a speed above 0; an assumed one, with a warning, where it is not set."""
    if binding.setting(executer.node, name) is None:
        binding.world.warn("assumed", f"{name} of {executer.name!r} is not set; {assumed:g} {unit} is assumed")
        return assumed
    return travel.positive_speed(binding.number(executer.node, name), f"{name} of {executer.name!r}")


def _rows(value: object) -> list[tuple[float, ...]] | None:
    """Returns the numbers of a table, None where a script has not set it."""
    if value is None:
        return None
    expression = parse_expression(value.text) if isinstance(value, Code) else None
    if type(expression) is not syntax.ArrayLiteral:
        return []
    rows = []
    for row in expression.items:
        cells = [getattr(cell, "value", None) for cell in getattr(row, "items", ())]
        rows.append(tuple(float(cell) for cell in cells if isinstance(cell, (int, float))))
    return rows
