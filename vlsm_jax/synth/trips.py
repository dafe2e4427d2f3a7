"""How long carriers and operators are under way: the mean seconds of a trip, a call, and the loads that follow.

An executer goes from where it ended up the last time, each of its jobs coming next as often as it comes at all. It
moves by the trapezoid of its speed, from the centre of an object to that of another.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from vlsm_jax.synth.distributions import mean_of
from vlsm_jax.synth.layouts import OUTSIDE
from vlsm_jax.synth.spots import Spot, seconds_per_item, size_of

ACCELERATION = 1.0
"""m/s², the library's default."""

DEFAULT_SPEED = 2.0
LIFT = 1.0
"""Metres that a crane lifts an item, and at 1 m/s a fork."""


class Job(NamedTuple):
    """Something that is done again and again.

    Attributes:
      spot: whose item it is.
      target: where a carrier brings it; None for an operator's work.
      rate: per second.
      fixed: seconds of it apart from the ways to it: work, loading, unloading, the way with the item.
    """

    spot: Spot
    target: Spot | None
    rate: float
    fixed: float


def centre(spot: Spot) -> tuple[float, float]:
    """Returns the middle of an object on the floor: its location is its upper left corner."""
    x, y, _ = spot.location
    width, depth, _ = size_of(spot.cls)
    return x + width / 2, y - depth / 2


def seconds_for(distance: float, speed: float) -> float:
    """Returns the seconds of a way from rest to rest."""
    if distance <= 0:
        return 0.0
    ramps = speed * speed / ACCELERATION
    return distance / speed + speed / ACCELERATION if distance >= ramps else 2 * math.sqrt(distance / ACCELERATION)


def way(executer: Spot, start: Spot, end: Spot, *, to_item: bool) -> float:
    """Returns the seconds from one object to another, for an item there or (an operator) for work."""
    parameters, cls = executer.parameters, executer.cls
    if cls == "Robot":
        return mean_of(parameters.get("MoveTime", 1)) if start is not end else 0.0
    speed = float(parameters.get("MaxSpeed", DEFAULT_SPEED))
    (x1, y1), (x2, y2) = centre(start), centre(end)
    if cls == "Crane":
        lift = seconds_for(LIFT, speed)
        return max(seconds_for(abs(x2 - x1), speed), seconds_for(abs(y2 - y1), speed)) + 2 * lift
    whole = math.hypot(x2 - x1, y2 - y1)
    # The front edge arrives at the object; then the rest of the way to the item is a move of its own.
    half = size_of(cls)[0] / 2
    if not to_item:
        return seconds_for(whole - half, speed)
    if cls == "Transporter":  # its fork is at the item when its front is at the object
        return seconds_for(whole - half, speed)
    return seconds_for(whole - half, speed) + seconds_for(min(half, whole), speed)


def jobs_of(executer: Spot, users: Iterable[Spot]) -> list[Job]:
    """Returns what an executer does for the objects that have it at their first center port; rates have been solved."""
    out = []
    for spot in users:
        parameters = spot.parameters
        if parameters.get("UseTransport"):
            handling = mean_of(executer.parameters.get("LoadTime", 0)) + mean_of(
                executer.parameters.get("UnloadTime", 0)
            )
            total = sum(target.rate for target in spot.outs) or 1.0
            for target in spot.outs:
                share = target.rate / total if len(spot.outs) > 1 else 1.0
                out.append(Job(spot, target, spot.sent * share, handling + way(executer, spot, target, to_item=True)))
        setup, process = parameters.get("UseSetupOperators"), parameters.get("UseProcessOperators")
        if setup or process:
            work = 0.0
            if setup:
                work += mean_of(parameters.get("SetupTime", 0)) * float(parameters.get("NumSetupOperators", 1))
            if process:
                rest = seconds_per_item(spot.cls, {**parameters, "SetupTime": 0})
                work += rest * float(parameters.get("NumProcessOperators", 1))
            out.append(Job(spot, None, spot.rate, work))
    return out


def mean_way(executer: Spot, jobs: Sequence[Job], spot: Spot) -> float:
    """Returns the mean seconds to an object from wherever the last job ended."""
    total = sum(job.rate for job in jobs)
    if total <= 0:
        return 0.0
    return (
        sum(job.rate * way(executer, job.target or job.spot, spot, to_item=job.target is not None) for job in jobs)
        / total
    )


def crews(order: Sequence[Spot]) -> dict[Spot, tuple[list[Spot], list[Spot]]]:
    """Returns for every executer or dispatcher at a first center port its members (itself alone) and its users."""
    out: dict[Spot, tuple[list[Spot], list[Spot]]] = {}
    for spot in order:
        if spot.centers and spot.centers[0].cls in OUTSIDE:
            head = spot.centers[0]
            members = head.team if head.cls == "Dispatcher" else [head]
            out.setdefault(head, (members, []))[1].append(spot)
    return out


class Duty(NamedTuple):
    """What a crew has to do.

    Attributes:
      members: who does it.
      jobs: what they do.
      ways: seconds to the object of each job from wherever the last job ended, in the mean.
      busy: seconds per second that all of them together are busy.
    """

    members: Sequence[Spot]
    jobs: Sequence[Job]
    ways: Sequence[float]
    busy: float

    @property
    def calls(self) -> float:
        """Jobs per second."""
        return sum(job.rate for job in self.jobs)

    @property
    def load(self) -> float:
        """Share of the time that each of the members is busy, in the mean."""
        return self.busy / len(self.members)


def duties_of(order: Sequence[Spot]) -> list[Duty]:
    """Returns what every crew has to do; rates have been solved."""
    out = []
    for members, users in crews(order).values():
        if members:
            jobs = jobs_of(members[0], users)
            ways = [mean_way(members[0], jobs, job.spot) for job in jobs]
            busy = sum(job.rate * (job.fixed + way_there) for job, way_there in zip(jobs, ways, strict=True))
            out.append(Duty(members, jobs, ways, busy))
    return out


def executer_loads(duties: Sequence[Duty]) -> dict[Spot, float]:
    """Returns how busy operators and carriers are."""
    return {member: duty.load for duty in duties for member in duty.members}


def waits(duties: Sequence[Duty], pace: float) -> dict[Spot, float]:
    """Returns for how many seconds per item a place of an object is taken beyond the work, for want of an executer.

    A station keeps an item until a carrier has fetched it, keeps the place of one that is under way to it, and holds
    while it waits for its operators. The wait for one who is busy is that of a queue with one server and times that
    vary by half of their mean: by Pollaczek and Khinchine, 0.625 b / (1 - b) mean times at a load of b.

    Args:
      duties: what crews have to do.
      pace: by how much their rates are to be multiplied.
    """
    out: dict[Spot, float] = {}
    for duty in duties:
        jobs = duty.jobs
        load = min(0.75, duty.load * pace)
        alone = len(jobs) == 1 and jobs[0].target is None  # nobody else calls, and it calls again when it is done
        mean = duty.busy / (duty.calls or 1.0)
        wait = 0.0 if alone else 0.625 * load / (1 - load) * mean / len(duty.members)
        for job, way_there in zip(jobs, duty.ways, strict=True):
            share = job.rate / job.spot.rate if job.spot.rate > 0 else 0.0
            out[job.spot] = out.get(job.spot, 0.0) + share * (wait + way_there)
            if job.target is not None and job.target.rate > 0:
                part = job.rate / job.target.rate
                out[job.target] = out.get(job.target, 0.0) + part * (wait + way_there + job.fixed)
    return out
