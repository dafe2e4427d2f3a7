"""The model that comes with the package: its name wherever a model is asked for, its size, and what is said without."""

import json

import pytest

from convert.checkpoint_reader import CheckpointError
from convert.hub import find_source
from vlsm_jax import shipped
from vlsm_jax.shipped import NANO, NotShipped, model_folder

MOST_BYTES = 40_000_000
HERE = shipped.SHIPPED[NANO]
needs_weights = pytest.mark.skipif(not (HERE / "model.safetensors").is_file(), reason="this tree has no weights")


@pytest.fixture
def without(monkeypatch, tmp_path):
    """A source tree without weights."""
    monkeypatch.setattr(shipped, "SHIPPED", {NANO: tmp_path / "nano"})
    return tmp_path / "nano"


def test_a_name_stands_for_a_folder_and_a_path_for_itself(without):
    without.mkdir()
    for name in ("config.json", "model.safetensors", "tokenizer.json"):
        with pytest.raises(NotShipped, match=rf"'nano' is not in this installation: .*{name}.* written \./nano"):
            model_folder(NANO)
        (without / name).touch()
    assert model_folder(NANO) == without == find_source(NANO)
    assert [str(model_folder(folder)) for folder in ("runs/nano", "other")] == ["runs/nano", "other"]
    # A folder that happens to have the name.
    assert model_folder("./nano") != without
    assert model_folder(without.relative_to(without.parent)) != without


def test_without_weights_each_way_in_says_so(without):
    from vlsm_jax.evaluation.subject import read_subject
    from vlsm_jax.generation.load import ModelError, load_generator

    for error, way in ((CheckpointError, find_source), (ModelError, load_generator)):
        with pytest.raises(error, match="not in this installation"):
            way(NANO)
    with pytest.raises(ModelError, match="not in this installation"):
        read_subject(NANO, None)


@needs_weights
def test_it_is_small_enough_to_lie_beside_its_code():
    from safetensors import safe_open

    assert sum(path.stat().st_size for path in HERE.glob("*")) <= MOST_BYTES
    assert (HERE / "README.md").is_file()
    with safe_open(HERE / "model.safetensors", "np") as file:
        assert {file.get_slice(name).get_dtype() for name in file.keys()} == {"BF16"}  # noqa: SIM118
    assert json.loads((HERE / "config.json").read_text())["dtype"] == "bfloat16"


@needs_weights
def test_it_writes_a_script_that_runs(tmp_path):
    from vlsm_jax.generation.load import load_generator
    from vlsm_jax.simulator import check
    from vlsm_jax.synth import Split, TripletOptions
    from vlsm_jax.synth.dataset import write_dataset

    styles = {"prompt_styles": ["complete"], "script_styles": ["dictated"]}
    options = TripletOptions.from_json({**styles, "most_objects": 6})
    write_dataset(tmp_path / "data", {Split.IID: 1}, seed=11, options=options)
    row = json.loads((tmp_path / "data" / "iid.jsonl").read_text())
    generator = load_generator()
    (made,) = generator.generate([tmp_path / "data" / row["image"]], [row["prompt"]], max_tokens=1024)
    assert generator.speed.taken > made[0].tokens / 2, "most of what is common to scripts is drafted"
    assert made[0].ended
    assert check(made[0].text).ok
