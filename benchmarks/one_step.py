"""One optimizer step of every config at a tiny size: 82 of them, some minutes on two cores.

    python benchmarks/one_step.py            those that have no line yet
    python benchmarks/one_step.py --again    all of them

Each config is one JSON line in benchmarks/results/one_step.jsonl. The checks are those of tests/test_configs.py, which
does a few of them.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import sys
import tempfile
import time
import traceback
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))
sys.path.insert(0, str(ROOT / "tests"))
RESULTS = ROOT / "benchmarks" / "results" / "one_step.jsonl"


def begin(cache: str) -> None:
    """Sets up a process. Configs that differ in nothing but sizes are the same program once tiny: compiled once."""
    import jax

    jax.config.update("jax_platforms", "cpu")
    jax.config.update("jax_compilation_cache_dir", cache)
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)


def step(number: int) -> dict[str, Any]:
    """Returns the line of a config: of what is wrong, the last line is in it."""
    from test_configs import EVERY, check_step

    module, arg = EVERY[number]
    began = time.process_time()
    said = "as it should be"
    try:
        check_step(module.get_config(f"{arg},tiny"))
    except Exception as error:  # whatever it is, the others go on
        said = traceback.format_exception_only(error)[-1].strip().splitlines()[0]
    return {"config": config_name(number), "step": said, "processor_seconds": round(time.process_time() - began, 1)}


def config_name(number: int) -> str:
    """Returns a config as `--config` takes it."""
    from test_configs import EVERY

    module, arg = EVERY[number]
    return f"{module.__name__.replace('.', '/')}.py:{arg}"


def main() -> None:
    """Steps the configs; the exit status is 1 if one of them did not."""
    from test_configs import EVERY

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--again", action="store_true", help="those that have a line as well")
    if parser.parse_args().again:
        RESULTS.unlink(missing_ok=True)
    lines = list(map(json.loads, RESULTS.read_text().splitlines())) if RESULTS.exists() else []
    good_lines = [line for line in lines if line["step"] == "as it should be"]
    RESULTS.write_text("".join(json.dumps(line) + "\n" for line in good_lines))
    done = {line["config"] for line in good_lines}
    wanted = [number for number in range(len(EVERY)) if config_name(number) not in done]
    good = True
    context = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory() as cache, context.Pool(os.cpu_count(), begin, (cache,)) as pool:
        for line in pool.imap_unordered(step, wanted):
            good &= line["step"] == "as it should be"
            with RESULTS.open("a") as file:
                file.write(json.dumps(line) + "\n")
            print(f"{line['config']}: {line['step']}", flush=True)
    sys.exit(not good)


if __name__ == "__main__":
    main()
