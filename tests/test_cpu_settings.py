"""Settings that a program starts itself again with on a CPU."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from vlsm_jax.cpu_settings import SETTINGS, _has_accelerator, _libc, missing_settings

ROOT = Path(__file__).parents[1]
# Says how often it was started, by whom, with what, and how many of its large arrays lie outside of the heap.
PROGRAM = """
import os, sys
print("start", os.getpid(), sys.argv[1:], sys.flags.utf8_mode, flush=True)
from vlsm_jax.cpu_settings import start_with_cpu_settings
start_with_cpu_settings()
import ctypes
class Info(ctypes.Structure):
    _fields_ = [(n, ctypes.c_size_t) for n in "arena ordblks smblks hblks hblkhd usmblks fsmblks uordblks fordblks keep".split()]
libc = ctypes.CDLL(None)
libc.malloc.restype, libc.malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
libc.mallinfo2.restype = Info
libc.malloc(64 << 20)
print("mapped", libc.mallinfo2().hblks)
print({k: v for k, v in os.environ.items() if k.startswith(("MALLOC_", "GLIBC_", "VLSM_"))})
"""  # noqa: E501

needs_glibc = pytest.mark.skipif((_libc() or (0, 0)) < (2, 35), reason="another C library")


def start(**variables):
    clean = {k: v for k, v in os.environ.items() if k not in SETTINGS}
    return subprocess.run(
        [sys.executable, "-X", "utf8", "-c", PROGRAM, "--a", "b c"],
        env={**clean, "PYTHONPATH": str(ROOT), **variables},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    ).stdout.splitlines()


@needs_glibc
def test_a_program_on_a_cpu_starts_again_once():
    first, second, mapped, variables = start(JAX_PLATFORMS="cpu")
    assert first == second, "the same process, arguments and options of the interpreter"
    assert "['--a', 'b c'] 1" in first
    assert mapped == "mapped 0", "a large array would be given back to the system as soon as it is freed"
    assert eval(variables) == dict(SETTINGS), "nothing but the settings is left to those that it starts"


@needs_glibc
def test_what_is_set_stays_and_another_platform_is_left_alone():
    *starts, mapped, variables = start(JAX_PLATFORMS="cpu", MALLOC_MMAP_THRESHOLD_="1000000")
    assert len(starts) == 2
    assert mapped == "mapped 1"
    assert eval(variables)["MALLOC_MMAP_THRESHOLD_"] == "1000000"
    assert len(start(JAX_PLATFORMS="cpu", **dict.fromkeys(SETTINGS, ""))) == 3, "all of them are turned off"
    assert len(start(JAX_PLATFORMS="tpu")) == 3


# Says how many MiB more are resident after a program that took an array of 256 MiB for a while.
LARGE = """
import os, sys, time
from vlsm_jax.cpu_settings import start_with_cpu_settings
start_with_cpu_settings()
from vlsm_jax.cpu_settings import compute_in_calling_thread
if sys.argv[1:] == ["calling"]:
    compute_in_calling_thread()
import jax, jax.numpy as jnp

def resident():
    return int(open("/proc/self/statm").read().split()[1]) * os.sysconf("SC_PAGE_SIZE") >> 20

large = jax.jit(lambda x: (x @ x.T) @ x)
x = jnp.ones((8192, 4)).block_until_ready()
before = resident()
for _ in range(3):
    large(x).block_until_ready()
time.sleep(0.5)  # another thread may still be about to free it
print(resident() - before)
"""


@needs_glibc
@pytest.mark.parametrize(("where", "kept"), [("calling", True), ("other", False)])
def test_a_large_temporary_array_stays_in_the_heap_of_the_main_thread(where, kept):
    made = subprocess.run(
        [sys.executable, "-c", LARGE, where],
        env={**os.environ, "PYTHONPATH": str(ROOT), "JAX_PLATFORMS": "cpu"},
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    assert (int(made.stdout) > 200) == kept, f"{made.stdout} MiB more are resident than before"


@pytest.mark.parametrize(
    ("platforms", "libc", "accelerator", "some"),
    [
        (None, (2, 36), False, True),
        ("", (2, 35), False, True),
        ("cpu", (2, 36), True, True),
        ("cpu,cuda", (2, 36), True, True),
        (None, (2, 36), True, False),
        ("cuda,cpu", (2, 36), False, False),
        ("tpu", (2, 36), False, False),
        ("cpu", (2, 34), False, False),
        ("cpu", None, False, False),
    ],
)
def test_where_settings_are_made(platforms, libc, accelerator, some):
    environment = {} if platforms is None else {"JAX_PLATFORMS": platforms}
    missing = missing_settings(environment, libc=libc, accelerator=accelerator)
    assert missing == (dict(SETTINGS) if some else {})


@pytest.mark.parametrize(
    ("name", "found"), [("accel0", True), ("vfio/0", True), ("nvidia0", True), ("kfd", True), ("vfio/vfio", False)]
)
def test_accelerators_show_in_the_devices(tmp_path, name, found):
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).touch()
    assert _has_accelerator(tmp_path) == found
