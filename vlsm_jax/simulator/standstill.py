"""Why nothing arrives: what the objects of a model wait for when it ends.

Every object that holds items, or wants some, waits for others: a blocked one for room at its peers, a collecting one
for items from its inputs. Followed to their ends, these waits tell a deadlock (they run in a circle) from starvation
(they end at something that has nothing to give) and from items that simply cannot go on.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from vlsm_jax.simulator.constants import (
    BLOCKED,
    COLLECTING,
    EMPTY,
    GENERATING,
    IDLE,
    PROCESSING,
    RELEASING,
    SETUP,
    state_name,
)
from vlsm_jax.simulator.objects.combiner import Combiner
from vlsm_jax.simulator.objects.live_object import LiveObject
from vlsm_jax.simulator.objects.resource import FixedResource
from vlsm_jax.simulator.objects.sink import Sink
from vlsm_jax.simulator.objects.source import Source

_LOOKED_AT = 1000  # waiting items of one object; more of them say nothing new
_NAMED = 8


class Cause(enum.Enum):
    """Why no item moves on; the value is the code of its diagnostic."""

    DEADLOCK = "deadlock"
    """Objects wait for each other in a circle."""
    STARVED = "starved"
    """Objects wait for items that did not come."""
    BLOCKED = "blocked"
    """Items wait where no port leads on, in an object that is stopped, or for an executer that does not come."""
    SLOW = "no flow"
    """Items are still on their way."""


class Standstill(NamedTuple):
    """What a model waits for.

    Attributes:
      cause: the kind of wait.
      objects: names of the objects that it comes down to, in the order of the wait where that is a circle.
      since: model time in seconds at which the last item moved; 0 where none did.
    """

    cause: Cause
    objects: tuple[str, ...]
    since: float


def stands_still(objects: Iterable[LiveObject], events_due: int) -> bool:
    """Says whether a model can never move again although items are in it: nothing is due any more."""
    return not events_due and any(live.items for live in objects if not isinstance(live, Sink))


def explain(objects: Iterable[LiveObject]) -> Standstill:
    """Follows the waits of a model that has ended, for objects with items and what these wait for."""
    objects = tuple(objects)
    holders = [live for live in objects if live.items and not isinstance(live, Sink)]
    since = max((item.entered for resource in holders for item in resource.items), default=0.0)
    if not holders:
        names = tuple(live.name for live in objects if isinstance(live, Source))
        return Standstill(Cause.STARVED, names[:_NAMED], since)
    waits: dict[LiveObject, tuple[LiveObject, ...]] = {}
    ends: dict[LiveObject, Cause] = {}
    stack = list(holders)
    while stack:
        resource = stack.pop()
        if resource in waits:
            continue
        cause, others = _waits_for(resource)
        waits[resource] = others
        if cause is not None:
            ends[resource] = cause
        stack.extend(others)
    moving = tuple(resource.name for resource, cause in ends.items() if cause is Cause.SLOW)
    if moving:
        return Standstill(Cause.SLOW, moving[:_NAMED], since)
    circle = _circle(waits)
    if circle:
        return Standstill(Cause.DEADLOCK, tuple(resource.name for resource in circle)[:_NAMED], since)
    for cause in (Cause.STARVED, Cause.BLOCKED):
        names = tuple(resource.name for resource, found in ends.items() if found is cause)
        if names:
            return Standstill(cause, names[:_NAMED], since)
    return Standstill(Cause.SLOW, (), since)


def describe(still: Standstill) -> tuple[str, str]:
    """Returns why nothing arrives as a clause, and what to do about it."""
    named = ", ".join(repr(name) for name in still.objects)
    match still.cause:
        case Cause.DEADLOCK:
            return (
                f"objects wait for each other in a circle: {' for '.join(map(repr, still.objects))}",
                "give one of them more room (MaxContent), or another way out",
            )
        case Cause.STARVED:
            return f"objects wait for items that did not come from {named}", "connect what feeds it, or run longer"
        case Cause.BLOCKED:
            hint = "connect an output, check SendToPort, or see what stops it or whom it waits for"
            return f"items cannot go on from {named}", hint
        case Cause.SLOW:
            return (f"items are still under way in {named}" if named else ""), "run longer"


def _waits_for(resource: LiveObject) -> tuple[Cause | None, tuple[LiveObject, ...]]:
    """Returns what one object waits for; without others, why the wait ends at it."""
    if resource.stops:
        return Cause.BLOCKED, ()
    if not isinstance(resource, FixedResource):
        return Cause.SLOW, ()  # an executer with its load
    state = resource.state
    if resource.waiting:
        peers = _peers_of_waiting(resource)
        return (None, peers) if peers else (Cause.BLOCKED, ())
    if state in (PROCESSING, SETUP):
        return Cause.SLOW, ()
    if isinstance(resource, Source):
        return Cause.STARVED, ()
    if isinstance(resource, Combiner):
        # One with a batch under way is in another state, or its items wait.
        senders = tuple(dict.fromkeys(resource.eligible()))
        return (None, senders) if senders else (Cause.STARVED, ())
    if state == COLLECTING or not resource.items:
        senders = tuple(dict.fromkeys(resource.inputs))
        return (None, senders) if senders else (Cause.STARVED, ())
    if state_name(state).startswith("waiting"):
        return Cause.BLOCKED, ()
    return (Cause.BLOCKED if state in (IDLE, BLOCKED, EMPTY, RELEASING, GENERATING) else Cause.SLOW), ()


def _peers_of_waiting(resource: FixedResource) -> tuple[FixedResource, ...]:
    peers: dict[FixedResource, None] = {}
    for _, port in zip(range(_LOOKED_AT), resource.waiting.values(), strict=False):
        bound = resource.outputs if port == 0 else resource.outputs[port - 1 : port] if port > 0 else ()
        peers.update((peer, None) for peer in bound if peer is not None)
    return tuple(peers)


def _circle(waits: Mapping[LiveObject, tuple[LiveObject, ...]]) -> list[LiveObject]:
    """Returns objects that wait for each other in a circle, empty where there is none."""
    done: set[LiveObject] = set()
    for start in waits:
        path: dict[LiveObject, None] = {}
        stack = [] if start in done else [(start, iter(waits[start]))]
        if stack:
            path[start] = None
        while stack:
            resource, others = stack[-1]
            following = next(others, None)
            if following is None:
                stack.pop()
                del path[resource]
                done.add(resource)
            elif following in path:
                ordered = list(path)
                return [*ordered[ordered.index(following) :], following]
            elif following not in done:
                path[following] = None
                stack.append((following, iter(waits[following])))
    return []
