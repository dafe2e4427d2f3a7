"""Settings for all tests."""

import functools
import os
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
# Models here are tiny and run a few times: what counts is the time to compile. What XLA_FLAGS says already stays.
# Runs of the command on one device compile as a user's do: those of tests/test_launch.py, and `make quickstart`.
QUICK_COMPILATION = {
    "xla_backend_optimization_level": "0",
    "xla_llvm_disable_expensive_passes": "true",
    "xla_cpu_use_fusion_emitters": "false",
    "xla_cpu_parallel_codegen_split_count": "1",
}
# Modules that take twenty seconds or more each and are not cut, the longest first: begun last, one of them would keep a
# processor busy while the others have nothing left to do.
LONGEST = (
    "test_launch.py",
    "training/test_training_processes.py",
    "generation/test_generation_dialects.py",
    "test_configs.py",
    "test_cli.py",
    "convert/test_convert_llava.py",
    "models/test_models_decoder.py",
    "evaluation/test_evaluation_stage.py",
    "training/test_training_step.py",
    "convert/test_convert_gate.py",
    "generation/test_generation_constraint.py",
    "training/test_training_robustness.py",
    "models/test_models_quantised.py",
    "training/test_training_paper.py",
    "test_launch_adapt.py",
)


def _compile_quickly() -> None:
    """Counts in this process, where XLA has not started yet, and in those that tests start with its environment."""
    said = os.environ.get("XLA_FLAGS", "")
    added = [f"--{name}={value}" for name, value in QUICK_COMPILATION.items() if f"--{name}" not in said]
    os.environ["XLA_FLAGS"] = " ".join([*said.split(), *added])


_compile_quickly()


@pytest.fixture(scope="session", autouse=True)
def nothing_is_kept_at_home():
    """`vlsm generate`, called in this process, would have JAX keep all that later tests compile below the user's home.

    That is no place for it; and every little program would be written to a file, and the folder looked through, which
    takes longer the more there are.
    """
    from vlsm_jax.generation import compiled

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compiled, "keep_compiled", lambda: None)
        yield


@pytest.fixture(scope="module")
def shared_programs(tmp_path_factory):
    """Environment of processes that run the same programs one after another: the first of them compiles for all."""
    return {
        "JAX_COMPILATION_CACHE_DIR": str(tmp_path_factory.mktemp("compiled")),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0.1",
    }


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Puts the longest modules first; all others keep their order."""
    places = {TESTS / name: place for place, name in enumerate(LONGEST)}
    missing = [str(path) for path in places if not path.exists()]
    if missing:
        raise pytest.UsageError(f"{__file__}: LONGEST names modules that are not there: {', '.join(missing)}")
    items.sort(key=lambda item: places.get(item.path, len(places)))


@pytest.fixture(scope="module")
def evaluated_here():
    """Evaluations run scripts in this process, since others take longer to start; models are tiny and run once."""
    import jax

    from vlsm_jax.evaluation import stage

    before = jax.config.read("jax_disable_most_optimizations")
    jax.config.update("jax_disable_most_optimizations", True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stage, "evaluate", functools.partial(stage.evaluate, workers=0))
        patch.setattr(os, "cpu_count", lambda: 1)
        yield
    jax.config.update("jax_disable_most_optimizations", before)
