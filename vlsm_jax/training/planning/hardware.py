"""What the accelerators are said to do, per chip; the figures that a roofline divides by.

Sources: Google Cloud's TPU pages, and for link speeds and the network between slices "How to Scale Your Model" (Google
DeepMind, 2025). Nothing here is measured.
"""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True)
class Chip:
    """One kind of accelerator.

    Attributes:
      name: as topologies name it.
      platform: as jax names it.
      flops: dense bfloat16 FLOP/s.
      memory: bytes that a program may use; what the compiler grants, which is less than the data sheet's size.
      bandwidth: bytes/s of its memory.
      link: bytes/s in one direction over one link to a neighbour.
      ring: chips along one dimension of a slice at which it closes to a ring, which doubles what a collective gets.
      network: bytes/s in one direction per chip to other slices or nodes.
    """

    name: str
    platform: str
    flops: float
    memory: float
    bandwidth: float
    link: float
    ring: int
    network: float


_GIB = 2**30

CHIPS = {
    chip.name: chip
    for chip in (
        Chip("v4", "tpu", 275e12, 30.75 * _GIB, 1.228e12, 4.5e10, 4, 6.25e9),
        Chip("v5e", "tpu", 197e12, 15.75 * _GIB, 8.19e11, 4.5e10, 16, 3.125e9),
        Chip("v5p", "tpu", 459e12, 95.74 * _GIB, 2.765e12, 9.0e10, 4, 6.25e9),
        Chip("v6e", "tpu", 918e12, 31.25 * _GIB, 1.64e12, 9.0e10, 16, 1.25e10),
    )
}
