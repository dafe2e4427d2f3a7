"""What a conversion tells at its end: how much went in and out, and what it took."""

from __future__ import annotations

import dataclasses
import re
import resource
import sys
import time
from pathlib import Path
from typing import Any


@dataclasses.dataclass(frozen=True)
class ConversionReport:
    """Attributes:
    verb: "from-hf" or "to-hf". source, out: as given.
    layout: what came out, such as "decoder" or "llava".
    quantise, dtype: of the parameters that came out.
    tensors_in, tensors_out: arrays read and written.
    left_aside: names of what holds no part of the result: stored buffers, CLIP's text tower, parts not asked for.
    bytes_in, bytes_out: of the files with arrays.
    bytes_of_params: of the parameters, were all of them in memory.
    start_bytes, peak_bytes: resident memory of the process, its peak before and after.
    seconds: wall-clock time.
    unused: tensors that found no place; a conversion that has some fails, so there are none.
    difference, scale: with verification, the largest difference of the scores, and the largest score.
    """

    verb: str
    source: str
    out: str
    layout: str
    quantise: str
    dtype: str
    tensors_in: int
    tensors_out: int
    left_aside: tuple[str, ...]
    bytes_in: int
    bytes_out: int
    bytes_of_params: int
    start_bytes: int
    peak_bytes: int
    seconds: float
    unused: tuple[str, ...] = ()
    difference: float | None = None
    scale: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """Returns JSON-able values."""
        return dataclasses.asdict(self) | {"left_aside": list(self.left_aside), "unused": list(self.unused)}

    def lines(self) -> list[str]:
        """Returns the report in words."""
        kept = f"{self.dtype}" + (f", kernels in {self.quantise}" if self.quantise != "none" else "")
        lines = [
            f"{self.out}: {self.layout} ({kept})",
            f"tensors   {self.tensors_in} in, {self.tensors_out} out, {len(self.unused)} unused",
            f"bytes     {self.bytes_in / 1e6:.1f} MB in, {self.bytes_out / 1e6:.1f} MB out",
            f"memory    {self.peak_bytes / 1e6:.0f} MB at the peak, {self.start_bytes / 1e6:.0f} MB of them at the "
            f"start; the parameters are {self.bytes_of_params / 1e6:.0f} MB",
            f"seconds   {self.seconds:.1f}",
        ]
        if self.left_aside:
            lines.insert(2, f"left      {len(self.left_aside)} that are no part of it, from {self.left_aside[0]} on")
        if self.difference is not None:
            lines.append(f"verified  scores up to {self.scale:.3g} differ by {self.difference:.2g} at most")
        return lines


class Meter:
    """Measures from its making on."""

    def __init__(self):
        self._began, self._start = time.monotonic(), peak_bytes()

    def report(self, **figures: Any) -> ConversionReport:
        """Returns the report with time and memory filled in."""
        seconds = time.monotonic() - self._began
        return ConversionReport(start_bytes=self._start, peak_bytes=peak_bytes(), seconds=seconds, **figures)


def peak_bytes() -> int:
    """Returns the largest resident memory that this program has had."""
    # Linux hands what getrusage tells on from the process that started this one.
    status = Path("/proc/self/status")
    if status.is_file() and (found := re.search(r"^VmHWM:\s+(\d+) kB$", status.read_text(), re.MULTILINE)):
        return int(found[1]) * 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024  # KiB elsewhere


def size_of(folder: Path) -> int:
    """Returns the bytes of all files in a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
