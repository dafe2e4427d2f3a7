"""The least time a step can take: arithmetic, memory and network, each at the speed its data sheet states."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from vlsm_jax.training.hardware import Chip
from vlsm_jax.training.planning.hlo import Collective

ASSUMPTIONS = (
    "arithmetic at the data sheet's dense bfloat16 rate, whatever is computed in; what remat makes again counts again",
    "memory: every parameter read once per pass in the dtype it is kept in, moments and trained parameters read and "
    "written once, each layer's boundary written and read once; the temporaries of kernels are left out",
    "network: each collective over all links of a chip at their full rate, one way, none hidden behind arithmetic "
    "(serial) or all of it (overlapped)",
    "between slices or nodes every chip has its share of the data centre's network, and a collective sends across what "
    "was put together within",
    "no time for input, host, launch or imbalance: a bound, not a forecast",
)


@dataclasses.dataclass(frozen=True)
class Roofline:
    """Seconds of one step per device.

    Attributes:
      arithmetic, memory, network: bounds of one step.
      overlapped: the largest of the three.
      serial: the larger of arithmetic and memory, and then the network.
    """

    arithmetic: float
    memory: float
    network: float

    @property
    def overlapped(self) -> float:
        """All three at the same time."""
        return max(self.arithmetic, self.memory, self.network)

    @property
    def serial(self) -> float:
        """The network waits for the chip, and the chip for it."""
        return max(self.arithmetic, self.memory) + self.network


def roofline(
    chip: Chip,
    shape: Sequence[int],
    *,
    flops: float,
    traffic: float,
    moved: Sequence[Collective],
) -> Roofline:
    """Returns the bounds of one step.

    Args:
      chip: what a device can do.
      shape: chips along each dimension of a slice.
      flops: of one device.
      traffic: bytes that one device reads and writes.
      moved: collectives of one device.
    """
    links = _links(chip, shape)
    seconds = 0.0
    for collective in moved:
        slices = min(collective.slices, collective.group)
        within = collective._replace(group=max(1, collective.group // slices))
        once = traffic_of(within) / links
        if slices > 1:
            # Each of those within has its part of what goes across, but for permutations, which send it all.
            part = collective.bytes if collective.kind == "collective-permute" else collective.bytes / within.group
            once += traffic_of(collective._replace(group=slices, bytes=part)) / chip.network
        seconds += collective.count * once
    return Roofline(flops / chip.flops, traffic / chip.bandwidth, seconds)


def traffic_of(collective: Collective) -> float:
    """Returns the bytes that one device sends, by the algorithm that sends least (a ring)."""
    share = (collective.group - 1) / collective.group
    if collective.kind == "all-reduce":
        return 2 * share * collective.bytes
    if collective.kind == "all-to-all":
        return share * collective.bytes
    if collective.kind == "collective-permute":
        return float(collective.bytes)
    return share * collective.bytes


def _links(chip: Chip, shape: Sequence[int]) -> float:
    """Returns bytes/s at which a device sends to the rest of its slice."""
    # A dimension that is long enough closes to a ring and sends both ways.
    return chip.link * sum(2 if size >= chip.ring else 1 for size in shape if size > 1) or chip.link
