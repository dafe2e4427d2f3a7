"""Who may call whom: the rooms of the house keep apart."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LEFT = ("twin", "processes", "flexscript", "simulator", "synth", "metrics", "curation", "repair", "verification")
RIGHT = ("data", "models", "sharding", "training", "generation")
# A room, and the rooms of this package that it may import besides itself.
MAY_IMPORT = {
    "twin": (),
    "flexscript": ("twin",),
    "simulator": ("twin", "flexscript"),
    "processes": (),
    "cpu_settings": (),
    "metrics": ("twin", "processes", "flexscript", "simulator"),
    # Samples of repair say what is wrong in the words that repair says it in.
    "synth": ("twin", "processes", "flexscript", "simulator", "repair", "version"),
    "wording": (),
    "repair": ("twin", "flexscript", "simulator", "metrics", "wording"),
    # Candidates are run, measured and mended.
    "verification": ("twin", "processes", "flexscript", "simulator", "metrics", "repair"),
    # Data sets are looked through by reading them and by running their scripts.
    "curation": ("twin", "processes", "flexscript", "simulator", "synth", "data", "version"),
    "data": ("wording",),
    "sharding": (),
    "models": ("sharding",),
    "ways": (),
    "shipped": (),
    # How a run evaluates is looked at before it trains.
    "training": ("data", "models", "sharding", "shipped", "ways", "version"),
    # The grammar that constrains decoding is FlexScript's.
    "generation": ("data", "models", "sharding", "shipped", "training", "flexscript"),
}


def imports(room):
    """Yields (file, module) for every import statement of a room, wherever it stands."""
    path = ROOT / "vlsm_jax" / room
    for file in sorted(path.glob("**/*.py")) if path.is_dir() else [path.with_suffix(".py")]:
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Import):
                yield from ((file, alias.name) for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                assert node.level == 0, f"{file}:{node.lineno}: imports are absolute"
                yield file, node.module
                if node.module == "vlsm_jax":
                    yield from ((file, f"vlsm_jax.{alias.name}") for alias in node.names)


@pytest.mark.parametrize("room", MAY_IMPORT)
def test_a_room_imports_only_its_neighbours(room):
    allowed = {room, *MAY_IMPORT[room]}
    found = list(imports(room))
    assert found
    for file, module in found:
        parts = module.split(".")
        if parts[0] == "vlsm_jax" and len(parts) > 1:
            assert parts[1] in allowed, f"{file.relative_to(ROOT)} imports {module}"
        if room in LEFT:
            assert parts[0] not in ("jax", "flax", "optax", "torch"), f"{file.relative_to(ROOT)} imports {module}"
        assert parts[0] != "torch", f"{file.relative_to(ROOT)} imports {module}"


@pytest.mark.parametrize(
    ("modules", "foreign"),
    [
        (tuple(f"vlsm_jax.{room}" for room in LEFT), ("jax", "flax", "torch", "transformers")),
        # Grain itself imports jax.
        (("vlsm_jax.data.pipeline", "vlsm_jax.data.tokenizer"), ("flax", "torch", "transformers")),
        # A model is read by convert, which has Orbax for its own format.
        (
            ("vlsm_jax.generation.load", "vlsm_jax.verification", "convert.llava"),
            ("orbax", "tensorstore", "grain", "torch", "transformers"),
        ),
    ],
    ids=["left side", "data workers", "generation"],
)
def test_what_starts_often_starts_without_heavy_libraries(modules, foreign):
    program = "import sys\n" + "".join(f"import {m}\n" for m in modules)
    program += f"print([m for m in {foreign} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=120)
    assert done.stdout.strip() == "[]"


def test_the_names_for_notebooks_are_there_and_wait_to_be_used():
    program = "import sys, vlsm_jax\nassert 'vlsm_jax.simulator' not in sys.modules\n"
    program += "print([n for n in vlsm_jax.__all__ if not hasattr(vlsm_jax, n)], hasattr(vlsm_jax, 'nothing'))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=120)
    assert done.stdout.strip() == "[] False"
