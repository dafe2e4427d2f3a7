"""Industries as tables: which stations stand in a line of each, in which order, and how long they take."""

from collections.abc import Mapping
from types import MappingProxyType

from vlsm_jax.synth.industries.boards import EV_BATTERY, PCB_ASSEMBLY, PHOTOMASK
from vlsm_jax.synth.industries.model import Component, Industry, Station, Step

__all__ = ["INDUSTRIES", "PCB_ASSEMBLY", "Component", "Industry", "Station", "Step", "industry"]

INDUSTRIES: Mapping[str, Industry] = MappingProxyType(
    {industry.key: industry for industry in (PHOTOMASK, PCB_ASSEMBLY, EV_BATTERY)}
)
"""Every industry by its key."""


def industry(key: str) -> Industry:
    """Returns the industry named `key`; raises `ValueError` listing those there are."""
    try:
        return INDUSTRIES[key]
    except KeyError:
        raise ValueError(f"there is no industry {key!r}; choose one of {', '.join(INDUSTRIES)}") from None
