"""What a figure was measured on, as far as speed depends on it, and where it is written."""

from __future__ import annotations

import functools
import json
import platform
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

# Of the widest vectors that a core computes with: products of matrices take twice as long with half of them.
_VECTORS = (("avx512f", "AVX-512"), ("avx2", "AVX2"), ("avx", "AVX"), ("asimd", "NEON"))


@functools.cache
def machine_name() -> str:
    """Returns architecture, processor and vectors, such as "x86_64, AMD EPYC 7763, AVX2", as far as Linux tells."""
    try:
        said = Path("/proc/cpuinfo").read_text()
    except OSError:  # another system
        said = ""
    model = re.search(r"^model name\s*:\s*(.+)$", said, re.MULTILINE)
    flags = re.search(r"^(?:flags|Features)\s*:\s*(.+)$", said, re.MULTILINE)
    there = flags[1].split() if flags else ()
    vectors = next((name for flag, name in _VECTORS if flag in there), None)
    return ", ".join(filter(None, (platform.machine(), model and " ".join(model[1].split()), vectors)))


def record(line: Mapping[str, Any], results: Path | None = None) -> None:
    """Prints a line of JSON, and appends it to the results."""
    written = json.dumps(line)
    print(written, flush=True)
    if results is not None:
        with results.open("a") as file:
            file.write(written + "\n")
