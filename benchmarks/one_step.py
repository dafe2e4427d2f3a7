"""One optimizer step of every config at a tiny size: 56 of them, half an hour or so of one core.

    python benchmarks/one_step.py

Each config is one JSON line in benchmarks/results/one_step.jsonl; those that are there are not done again. The checks
are those of tests/test_configs.py, which does a few of them.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))
sys.path.insert(0, str(ROOT / "tests"))
RESULTS = ROOT / "benchmarks" / "results" / "one_step.jsonl"


def main() -> None:
    """Steps every config that has no line yet."""
    from test_configs import EVERY, check_step

    done = {json.loads(line)["config"] for line in RESULTS.read_text().splitlines()} if RESULTS.exists() else set()
    for module, arg in EVERY:
        name = f"{module.__name__.replace('.', '/')}.py:{arg}"
        if name in done:
            continue
        began = time.process_time()
        check_step(module.get_config(f"{arg},tiny"))
        line = {"config": name, "step": "as it should be", "processor_seconds": round(time.process_time() - began, 1)}
        with RESULTS.open("a") as file:
            file.write(json.dumps(line) + "\n")
        print(name, flush=True)


if __name__ == "__main__":
    main()
