"""The factory: a Twin, and what is known of it besides: industry, layout, automation, features."""

from __future__ import annotations

import dataclasses
from typing import Final

from vlsm_jax.twin import Twin

AUTOMATION: Final[tuple[str, ...]] = ("manual", "operator", "robot", "agv", "task_executer", "transporter", "crane")
"""Levels of automation: nobody is modelled, operators work at stations, or items are carried by one of the others."""

FEATURES: Final[tuple[str, ...]] = (
    "merge",  # several flows join in one, lanes of a parallel layout apart
    "split",  # one flow parts into several, lanes of a parallel layout apart; scrap is thrown away
    "rework",  # items go back to be worked on again
    "assembly",  # a Combiner
    "disassembly",  # a Separator
    "batching",  # a Queue that passes items on in batches
    "multiprocess",  # a MultiProcessor
    "conveyor",  # a conveyor
    "storage",  # a Rack
    "shared_operator",  # an Operator, or a team of them, for several stations
    "transport",  # items that are carried
    "dispatcher_team",  # a Dispatcher with executers
)
"""What a factory may have beyond a row of stations."""


@dataclasses.dataclass(frozen=True)
class Factory:
    """A Twin and where it came from.

    Attributes:
      twin: the factory.
      industry: key of its industry, "" where none is known.
      layout: key of its layout, "" where none is known.
      automation: one of `AUTOMATION`, "" where none is known.
      features: those of `FEATURES` it has, in their order.
    """

    twin: Twin
    industry: str = ""
    layout: str = ""
    automation: str = ""
    features: tuple[str, ...] = ()
