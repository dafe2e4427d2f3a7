"""What the accelerators are said to do, per chip; the figures that a roofline and MFU divide by.

Sources: Google Cloud's TPU pages, and for link speeds and the network between slices "How to Scale Your Model" (Google
DeepMind, 2025); NVIDIA's data sheets of A100 80GB SXM, H100 SXM and H200 SXM, whose rates with sparsity are halved.
Nothing here is measured.
"""

from __future__ import annotations

import dataclasses
import re


@dataclasses.dataclass(frozen=True)
class Chip:
    """One kind of accelerator.

    Attributes:
      name: as topologies name it.
      platform: as jax names it.
      kinds: regular expression for what jax calls such a device, `jax.Device.device_kind`.
      flops: dense bfloat16 FLOP/s.
      memory: bytes that a program may use; what the compiler grants, which is less than the data sheet's size.
      bandwidth: bytes/s of its memory.
      link: bytes/s in one direction over one link to a neighbour.
      ring: chips along one dimension of a slice at which it closes to a ring, which doubles what a collective gets.
      network: bytes/s in one direction per chip to other slices or nodes.
    """

    name: str
    platform: str
    kinds: str
    flops: float
    memory: float
    bandwidth: float
    link: float
    ring: int
    network: float


_GIB = 2**30
_NEVER = 2**30  # chips in a row

CHIPS = {
    chip.name: chip
    for chip in (
        Chip("v4", "tpu", "TPU v4", 275e12, 30.75 * _GIB, 1.228e12, 4.5e10, 4, 6.25e9),
        Chip("v5e", "tpu", "TPU v5 lite|TPU v5e", 197e12, 15.75 * _GIB, 8.19e11, 4.5e10, 16, 3.125e9),
        Chip("v5p", "tpu", "TPU v5p?", 459e12, 95.74 * _GIB, 2.765e12, 9.0e10, 4, 6.25e9),
        Chip("v6e", "tpu", "TPU v6 lite|TPU v6e", 918e12, 31.25 * _GIB, 1.64e12, 9.0e10, 16, 1.25e10),
        # A link is all of a card's NVLink, by a switch: there is no ring to close. PCIe and NVL cards are slower.
        Chip("a100", "gpu", "NVIDIA A100-SXM4-80GB", 312e12, 80e9, 2.039e12, 3.0e11, _NEVER, 2.5e10),
        Chip("h100", "gpu", "NVIDIA H100( 80GB HBM3| SXM.*)?", 989.4e12, 80e9, 3.35e12, 4.5e11, _NEVER, 5.0e10),
        Chip("h200", "gpu", "NVIDIA H200", 989.4e12, 141e9, 4.8e12, 4.5e11, _NEVER, 5.0e10),
    )
}


def chip_of(device_kind: str) -> Chip | None:
    """Returns what is known of a device that jax calls `device_kind`, or None: of a CPU, and of other accelerators."""
    return next((chip for chip in CHIPS.values() if re.fullmatch(chip.kinds, device_kind)), None)
