"""What is compiled once is not compiled again by the next process, and the user's own settings stay."""

import os
import subprocess
import sys
from pathlib import Path

PROGRAM = """
import jax
from vlsm_jax.generation.compiled import keep_compiled
where = keep_compiled()
hits = []
jax.monitoring.register_event_listener(lambda name, **_: hits.append(name))
jax.jit(lambda x: x @ x + 1)(jax.numpy.ones((8, 8))).block_until_ready()
print(where, sum(name == "/jax/compilation_cache/cache_hits" for name in hits))
"""


def start(home, **more):
    environment = {name: value for name, value in os.environ.items() if not name.startswith("JAX_")}
    environment |= {"XDG_CACHE_HOME": str(home), "JAX_PLATFORMS": "cpu", **more}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True, timeout=120, env=environment
    )
    where, hits = done.stdout.split()
    return where, int(hits)


def test_the_second_process_finds_what_the_first_compiled(tmp_path):
    where, hits = start(tmp_path)
    assert Path(where).parent == tmp_path / "vlsm_jax" / "compiled"
    assert hits == 0
    assert start(tmp_path)[1] > 0


def test_it_goes_without_where_it_may_not(tmp_path):
    assert start(tmp_path, JAX_ENABLE_COMPILATION_CACHE="false") == ("None", 0)
    assert start(tmp_path, JAX_COMPILATION_CACHE_DIR=str(tmp_path / "own"))[0] == "None"
    (tmp_path / "file").touch()
    assert start(tmp_path / "file")[0] == "None"
