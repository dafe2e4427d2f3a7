"""Numeric constants of FlexSim that scripts name: STATE_, TASKTYPE_, PREEMPT_, CLASSTYPE_ and their kin."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from types import MappingProxyType

STATES = (
    "", "IDLE", "PROCESSING", "BUSY", "BLOCKED", "GENERATING", "EMPTY", "COLLECTING", "RELEASING",
    "WAITING_FOR_OPERATOR", "WAITING_FOR_TRANSPORT", "BREAKDOWN", "SCHEDULED_DOWN", "CONVEYING", "TRAVEL_EMPTY",
    "TRAVEL_LOADED", "OFFSET_TRAVEL_EMPTY", "OFFSET_TRAVEL_LOADED", "LOADING", "UNLOADING", "DOWN", "SETUP", "UTILIZE",
    "FULL", "NOT_EMPTY", "FILLING", "STARVED", "MIXING", "FLOWING", "ALLOCATED_IDLE", "OFF_SHIFT", "CHANGE_OVER",
    "REPAIR", "MAINTENANCE", "LUNCH", "ON_BREAK", "SUSPEND", "AVAILABLE", "PREPROCESSING", "POSTPROCESSING",
    "INSPECTING", "OPERATING", "STANDBY", "PURGING", "CLEANING", "ACCELERATING", "MAXSPEED", "DECELERATING", "STOPPED",
    "WAITING", "ACCUMULATING",
)  # fmt: skip
"""The names of the states; the number of a state is its place."""

IDLE, PROCESSING, BUSY, BLOCKED, GENERATING, EMPTY, COLLECTING, RELEASING = 1, 2, 3, 4, 5, 6, 7, 8
WAITING_FOR_OPERATOR, WAITING_FOR_TRANSPORT, BREAKDOWN, SCHEDULED_DOWN, CONVEYING = 9, 10, 11, 12, 13
TRAVEL_EMPTY, TRAVEL_LOADED, OFFSET_TRAVEL_EMPTY, OFFSET_TRAVEL_LOADED, LOADING, UNLOADING = 14, 15, 16, 17, 18, 19
SETUP, UTILIZE = 21, 22

_TASK_TYPES = (
    "LOAD", "FRLOAD", "UNLOAD", "FRUNLOAD", "UTILIZE", "STOPREQUESTBEGIN", "STOPREQUESTFINISH", "TRAVEL",
    "TRAVELTOLOC", "TRAVELRELATIVE", "BREAK", "DELAY", "SENDMESSAGE", "TE_ALLOCATED", "MOVEOBJECT",
    "DESTROYOBJECT", "SETNODENUM", "PICKOFFSET", "PLACEOFFSET", "TAG", "CT_ALLOCATE", "CT_DEALLOCATE", "CT_SYNC",
    "CALLSUBTASKS", "TE_RETURN", "TE_STOP", "MILESTONE", "CT_MULTIALLOCATE", "NODEFUNCTION", "STARTANIMATION",
    "STOPANIMATION", "FREEOPERATORS", "WAITFORTASK", "MESSAGE",
)  # fmt: skip
_CLASS_TYPES = {
    "ODT": 1, "FLEXSIMOBJECT": 2, "FIXEDRESOURCE": 4, "DISPATCHER": 8, "TASKEXECUTER": 16, "NAVIGATOR": 32,
    "PROCESSOR": 64, "NETWORKNODE": 128, "VISUALTOOL": 256, "CONVEYOR": 512, "TRAFFICCONTROLLER": 1024,
    "MTBFMTTR": 0x800, "MERGESORT": 0x1000, "WANTCONNECTLOGIC": 0x2000, "FLUIDOBJECT": 0x4000, "FLUIDOBJECT2": 0x8000,
    "LINECONTROLLER": 0x10000, "SYSTEMCONTROLLER": 0x20000, "FLEXSIMEVENTHANDLER": 0x40000, "OWNERDRAWN": 0x80000000,
}  # fmt: skip
_OTHERS = {
    "PREEMPT_NOT": 0, "PREEMPT_ONLY": 1, "PREEMPT_AND_ABORT_ACTIVE": 2, "PREEMPT_AND_ABORT_ALL": 3,
    "STAT_AVERAGE": 1, "STAT_MEAN": 1, "STAT_CURRENT": 2, "STAT_MIN": 3, "STAT_MAX": 4, "STAT_TIME_AT_VALUE": 5,
    "DATATYPE_NUMBER": 1, "DATATYPE_STRING": 2, "DATATYPE_COUPLING": 3, "DATATYPE_OBJECT": 4, "DATATYPE_PARTICLE": 5,
    "DATATYPE_BUNDLE": 6, "DATATYPE_SIMPLE": 7, "WARMUP_TIME_NODE": 82,
    # What getmodelunit is asked for; of these, only the number of WARMUP_TIME_NODE is known, the rest are our own.
    "LENGTH_MULTIPLE": 1, "TIME_MULTIPLE": 2, "FLUID_MULTIPLE": 3, "START_TIME_NODE": 80, "STOP_TIME_NODE": 81,
}  # fmt: skip


@functools.cache
def constants() -> Mapping[str, int]:
    """Returns the constants by name."""
    named = {f"STATE_{name}": number for number, name in enumerate(STATES) if name}
    named |= {f"TASKTYPE_{name}": number for number, name in enumerate(_TASK_TYPES, 1)}
    named |= {f"CLASSTYPE_{name}": number for name, number in _CLASS_TYPES.items()}
    return MappingProxyType(named | _OTHERS)


def state_name(number: int) -> str:
    """Returns the name of a state as reports show it: "waiting for operator"."""
    return STATES[number].lower().replace("_", " ")


def state_number(name: str) -> int | None:
    """Returns the number of a state from its name, "STATE_BREAKDOWN", "BREAKDOWN" or "breakdown"; None for no state."""
    plain = name.strip().upper().replace(" ", "_").removeprefix("STATE_")
    return STATES.index(plain) if plain in STATES[1:] else None
