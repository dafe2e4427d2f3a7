"""Executers that go to their items: the Operator on foot, the Transporter with its fork."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from vlsm_jax.simulator.objects import travel
from vlsm_jax.simulator.objects.executer import TaskExecuter
from vlsm_jax.simulator.objects.item import Item
from vlsm_jax.simulator.objects.travel import Move, Point

if TYPE_CHECKING:
    from vlsm_jax.simulator.binding import Binding


class Operator(TaskExecuter):
    """Goes to an item on the floor, until its front edge is at the item's."""

    __slots__ = ()

    def offset_to(self, target: Point, item: Item | None) -> Move | None:
        if item is None:
            return super().offset_to(target, item)
        goal = (target[0], target[1], self.position[2])
        whole = math.dist(self.position, goal)
        distance = whole - (self.node.size.x + travel.item_size(item)[0]) / 2
        if distance <= travel.NEAR:
            return None
        return travel.straight(
            self.position, travel.between(self.position, goal, distance / whole), self.profile(distance)
        )


class Transporter(TaskExecuter):
    """Drives up to an item with the front of its fork, and lifts the fork to the item's height at the same time.

    Attributes:
      lift_speed: m/s, steady; 0 where the fork does not move.
    """

    __slots__ = ("lift_speed",)

    def configure(self, binding: Binding) -> None:
        moves = binding.setting(self.node, "AllowForkMovement") in (None, 1)
        self.lift_speed = binding.number(self.node, "LiftSpeed") if moves else 0.0

    def offset_to(self, target: Point, item: Item | None) -> Move | None:
        if item is None:
            return super().offset_to(target, item)
        goal = (target[0], target[1], self.position[2])
        whole = math.dist(self.position, goal)
        distance = whole - self.node.size.x / 2
        distance = distance if distance > travel.NEAR else 0.0
        lift = abs(target[2] - self.position[2])
        lifting = lift / self.lift_speed if self.lift_speed > 0 else 0.0
        if not distance and lifting <= 0:
            return None
        end = travel.between(self.position, goal, distance / whole) if distance > 0 else self.position
        profile = self.profile(distance)
        return travel.straight(self.position, end, profile, max(profile.duration, lifting))
