"""NVIDIA GPUs that are not there: what XLA's compiler has to know of one, and what has to be installed to ask it.

The facts are those of the target configurations that OpenXLA publishes (openxla/xla on GitHub,
xla/backends/gpu/target_config/specs, h100_sxm and h200), in the fields that decide how a program is compiled.
"""

from __future__ import annotations

import importlib.util

import jax

from vlsm_jax.training.hardware import Chip

# Of both: of one generation, and of the same die.
_HOPPER = {
    "threads_per_block_limit": 1024,
    "threads_per_warp": 32,
    "shared_memory_per_block": 49152,
    "shared_memory_per_core": 233472,
    "shared_memory_per_block_optin": 232448,
    "threads_per_core_limit": 2048,
    "core_count": 132,
    "fpus_per_core": 128,
    "block_dim_limit_x": 2147483647,
    "block_dim_limit_y": 65535,
    "block_dim_limit_z": 65535,
    "l2_cache_size": 52428800,
    "clock_rate_ghz": 1.98,
    "registers_per_core_limit": 65536,
    "registers_per_block_limit": 65536,
}
_MEMORY = {"h100": 84942979072, "h200": 151397597184}
_CUDNN = (9, 10, 0)

NODE = 8
"""GPUs that NVLink joins."""

# Without a card there is nothing to try kernels on.
COMPILER_OPTIONS = (("xla_gpu_autotune_level", "0"),)

NOTES = (
    "kernels are not tuned, which takes a card: another choice of kernels may need other temporaries",
    "workspaces of cuDNN and buffers of NCCL are not in the peak",
)


def described() -> tuple[str, ...]:
    """Returns the GPUs that there are descriptions of."""
    return tuple(_MEMORY)


def describe(chip: Chip) -> str:
    """Returns XLA's `GpuTargetConfigProto` for a GPU, as text."""
    facts = _HOPPER | {"memory_bandwidth": int(chip.bandwidth), "device_memory_size": _MEMORY[chip.name]}
    lines = [f"  {name}: {value}" for name, value in facts.items()]
    # With instructions that Hopper has and later ones have not, such as its asynchronous matrix products.
    lines.append("  cuda_compute_capability { major: 9 feature_extension: ACCELERATED_FEATURES }")
    major, minor, patch = _CUDNN
    return "\n".join(
        (
            "gpu_device_info {",
            *lines,
            "}",
            'platform_name: "CUDA"',
            f"dnn_version_info {{ major: {major} minor: {minor} patch: {patch} }}",
            f'device_description_str: "NVIDIA {chip.name.upper()}"',
        )
    )


def memory(chip: Chip) -> int:
    """Returns the bytes of a GPU's memory."""
    return _MEMORY[chip.name]


def missing() -> tuple[str, ...]:
    """Returns what the compiler for GPUs consists of and is not installed, as pip names it."""
    if _there("jax_plugins.xla_cuda13"):
        return ()  # whose parts have other names
    version = jax.__version__
    parts = {
        "jax_plugins.xla_cuda12": f"jax-cuda12-pjrt=={version}",
        "jax_cuda12_plugin": f"jax-cuda12-plugin=={version}",
        "nvidia.cuda_nvcc": "nvidia-cuda-nvcc-cu12",
        "nvidia.cudnn": "nvidia-cudnn-cu12",
    }
    return tuple(package for module, package in parts.items() if not _there(module))


def _there(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:  # the package around it
        return False
