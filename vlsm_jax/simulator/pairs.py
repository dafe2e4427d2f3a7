"""Which classes can be connected to which, and what the connection means, as a table by role.

Keys are the roles of the classes, `library.json` gives them; a few classes stand out of their role and have one of
their own here. What is not in the table cannot be connected: FlexSim draws nothing then, and says nothing.
"""

from __future__ import annotations

import enum
from types import MappingProxyType

from vlsm_jax.simulator.library import (
    CONVEYOR,
    CONVEYOR_POINT,
    DISPATCHER,
    FIXED_RESOURCE,
    NETWORK,
    TASK_EXECUTER,
    TOOL,
    VISUAL,
)
from vlsm_jax.simulator.tree import Node

PATH, TRAFFIC_CONTROL = "path", "traffic control"

_OWN_ROLES = {"StraightPath": PATH, "CurvedPath": PATH, "TrafficControl": TRAFFIC_CONTROL}


class Meaning(enum.Enum):
    """What a connection with the key A stands for."""

    FLOW = "items flow"
    ENTRY = "items flow onto a conveyor, through an EntryTransfer"
    EXIT = "items flow off a conveyor, through an ExitTransfer"
    TRANSFER = "items flow from conveyor to conveyor, through a Transfer"
    TEAM = "task sequences are passed on"
    TRAVEL = "the object stands at a node of a travel network"
    PATH = "travellers go from node to node"
    REFERENCE = "a point of a conveyor refers to the object"
    CONTAINER = "items flow through a container"
    MEMBER = "the object is a member of the tool"


FLOWS = frozenset((Meaning.FLOW, Meaning.ENTRY, Meaning.EXIT, Meaning.TRANSFER, Meaning.CONTAINER))

TRANSFERS = MappingProxyType(
    {Meaning.ENTRY: "EntryTransfer", Meaning.EXIT: "ExitTransfer", Meaning.TRANSFER: "Transfer"}
)
"""The node that FlexSim puts between a conveyor and its neighbour, by what the connection means."""

_EXECUTERS = (TASK_EXECUTER, DISPATCHER)
_WITH_CENTER_PORTS = frozenset(
    (FIXED_RESOURCE, *_EXECUTERS, CONVEYOR, CONVEYOR_POINT, NETWORK, VISUAL, TRAFFIC_CONTROL)
)
_OBJECTS = (*sorted(_WITH_CENTER_PORTS), PATH)

FLOW_PAIRS = MappingProxyType(
    {
        (FIXED_RESOURCE, FIXED_RESOURCE): Meaning.FLOW,
        (FIXED_RESOURCE, CONVEYOR): Meaning.ENTRY,
        (CONVEYOR, FIXED_RESOURCE): Meaning.EXIT,
        (CONVEYOR, CONVEYOR): Meaning.TRANSFER,
        **{(a, b): Meaning.TEAM for a in _EXECUTERS for b in _EXECUTERS},
        **{(a, NETWORK): Meaning.TRAVEL for a in (FIXED_RESOURCE, TASK_EXECUTER)},
        **{(NETWORK, a): Meaning.TRAVEL for a in (FIXED_RESOURCE, TASK_EXECUTER)},
        (NETWORK, NETWORK): Meaning.PATH,
        (NETWORK, TRAFFIC_CONTROL): Meaning.MEMBER,
        (TRAFFIC_CONTROL, NETWORK): Meaning.MEMBER,
        **{(CONVEYOR_POINT, a): Meaning.REFERENCE for a in (CONVEYOR_POINT, FIXED_RESOURCE, *_EXECUTERS)},
        (FIXED_RESOURCE, CONVEYOR_POINT): Meaning.REFERENCE,
        (VISUAL, VISUAL): Meaning.CONTAINER,
        (VISUAL, FIXED_RESOURCE): Meaning.CONTAINER,
        (FIXED_RESOURCE, VISUAL): Meaning.CONTAINER,
        **{(TOOL, a): Meaning.MEMBER for a in _OBJECTS},
        **{(a, TOOL): Meaning.MEMBER for a in _OBJECTS},
    }
)
"""Pairs that the key A connects, from and to."""

_HINTS = {
    (FIXED_RESOURCE, TASK_EXECUTER): 'connect center ports: "S", and set UseTransport or UseProcessOperators to 1',
    (TASK_EXECUTER, FIXED_RESOURCE): 'connect center ports: "S", and set UseTransport or UseProcessOperators to 1',
    (FIXED_RESOURCE, DISPATCHER): 'connect center ports: "S", and set UseTransport or UseProcessOperators to 1',
    (DISPATCHER, FIXED_RESOURCE): 'connect center ports: "S", and set UseTransport or UseProcessOperators to 1',
    (CONVEYOR, CONVEYOR_POINT): "a point belongs to the conveyor that it is placed on: set its location",
    (CONVEYOR_POINT, CONVEYOR): "a point belongs to the conveyor that it is placed on: set its location",
    (CONVEYOR, TASK_EXECUTER): 'connect the object behind the conveyor with "A", its transport with "S"',
    (DISPATCHER, NETWORK): "connect the task executers of the dispatcher to the network",
    (NETWORK, DISPATCHER): "connect the task executers of the dispatcher to the network",
}


def role_of(node: Node) -> str:
    """Returns the role by which a node is connected; that of its class, except for the few that stand out."""
    info = node.cls
    return _OWN_ROLES.get(info.name, info.role) if info is not None else ""


def meaning(source: Node, target: Node) -> Meaning | None:
    """Returns what connecting two objects with the key A means, None where it connects nothing."""
    classes = source.cls.name, target.cls.name
    try:
        return _MEANINGS[classes]
    except KeyError:
        _MEANINGS[classes] = found = FLOW_PAIRS.get((role_of(source), role_of(target)))
        return found


_MEANINGS: dict[tuple[str, str], Meaning | None] = {}
"""Meanings by the names of the classes, as they are asked for."""


def has_center_port(node: Node) -> bool:
    """Whether the key S connects a node."""
    return role_of(node) in _WITH_CENTER_PORTS


def hint(source: Node, target: Node) -> str:
    """Returns what would work for a pair that the key A does not connect."""
    roles = role_of(source), role_of(target)
    if roles in _HINTS:
        return _HINTS[roles]
    if PATH in roles:
        return "paths meet where their ends lie: set StartLocation and EndLocation"
    if has_center_port(source) and has_center_port(target):
        return 'connect center ports: "S"'
    return "leave the connection out"
