"""Industries as tables: which stations stand in a line of each, in which order, and how long they take.

A table is all that a new industry needs. Stations are listed in process order; a sampler takes a subsequence, so every
line it makes is a real order of real steps, with some left out. The module of each table names the sources of its
order.

Process times, setup times, yields and room for items are no measurements: they are tact times in seconds per item, of
the size an engineer writes into a first line model. Steps that take hours in reality (electron-beam writing, freeze
drying, formation and ageing) are scaled down so that, with the places they have, they keep up with their neighbours.
"""

from collections.abc import Mapping
from types import MappingProxyType

from vlsm_jax.synth.industries.batteries import EV_BATTERY
from vlsm_jax.synth.industries.boards import AUTOMOTIVE, ELECTRONICS, PCB_ASSEMBLY, SERVER
from vlsm_jax.synth.industries.food_and_health import FOOD, MEDICAL, PHARMA
from vlsm_jax.synth.industries.model import Component, Industry, Station, Step
from vlsm_jax.synth.industries.optoelectronics import DISPLAY, LED
from vlsm_jax.synth.industries.silicon import PHOTOMASK, SEMICONDUCTOR, WAFER_TEST

__all__ = ["INDUSTRIES", "PCB_ASSEMBLY", "Component", "Industry", "Station", "Step", "industry"]

INDUSTRIES: Mapping[str, Industry] = MappingProxyType(
    {
        industry.key: industry
        for industry in (
            SEMICONDUCTOR,
            ELECTRONICS,
            PHOTOMASK,
            FOOD,
            PCB_ASSEMBLY,
            EV_BATTERY,
            LED,
            WAFER_TEST,
            SERVER,
            MEDICAL,
            PHARMA,
            AUTOMOTIVE,
            DISPLAY,
        )
    }
)
"""Every industry by its key."""


def industry(key: str) -> Industry:
    """Returns the industry named `key`; raises `ValueError` listing those there are."""
    try:
        return INDUSTRIES[key]
    except KeyError:
        raise ValueError(f"there is no industry {key!r}; choose one of {', '.join(INDUSTRIES)}") from None
