"""A model adapted to an industry that it has never seen, by launch.py: evaluated, trained, evaluated, compared."""

import json
import shutil

import numpy as np
import pytest
from safetensors.numpy import load_file

import launch
from configs import adapt, quickstart
from vlsm_jax.data.tokenizer import load_tokenizer, train_bpe
from vlsm_jax.training import experiment
from vlsm_jax.training.config import ConfigError
from vlsm_jax.training.sections import check_sections

pytestmark = pytest.mark.usefixtures("evaluated_here")


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """An export of a model that has learnt nothing."""
    folder = tmp_path_factory.mktemp("model")
    config = quickstart.get_config("smoke")
    config.model.vision.image_size = 64
    tokenizer = train_bpe(["A source feeds sink 0123456789."], 300, folder / "tokenizer")
    network, pipeline = experiment.build_network(config, experiment.vlsm_config(config, tokenizer), "cpu")
    launch.export_model(folder / "export", network, network.init(0), tokenizer, pipeline)
    return folder / "export"


def settings(model, **changes):
    config = adapt.get_config("smoke")
    config.synth.most_objects = 4
    found = {"model.init.model": str(model), "evaluate.until": 600.0, "pipeline.sequence_length": 4096}
    config.update_from_flattened_dict(found | changes)
    return config


def test_before_and_after_stand_in_one_table(model, tmp_path, capsys):
    launch.run(settings(model), tmp_path, "all")
    told = capsys.readouterr().out
    assert "| test, greedy, 2 samples | before | after | difference, sample by sample |" in told
    change = json.loads((tmp_path / "evaluation/comparison.json").read_text())
    assert change["before"].startswith("export (")
    assert change["after"] == "nano adapted to display, step 2"
    # The tokenizer is the model's, and so is all that has no adapter.
    old, new = (load_file(folder / "model.safetensors") for folder in (model, tmp_path / "export"))
    assert old.keys() == new.keys()
    changed = {name for name in old if not np.array_equal(old[name], new[name])}
    assert changed
    assert all(".layers." in name and "_proj" in name for name in changed)
    assert (tmp_path / "tokenizer/tokenizer.json").read_bytes() == (model / "tokenizer.json").read_bytes()
    # What the adapted model writes is drafted from the scripts that it was adapted to.
    lines = (tmp_path / "data/train.jsonl").read_text().splitlines()
    examples = json.loads((tmp_path / "export/draft_examples.json").read_text())["scripts"]
    assert examples == [json.loads(line)["response"] for line in lines[:32]]
    assert json.loads((tmp_path / "draft_examples.json").read_text())["scripts"] == examples
    assert not (model / "draft_examples.json").exists(), "a model that was given none has none"
    # The same command has nothing left to do.
    launch.run(settings(model), tmp_path, "all")
    assert "decoding" not in capsys.readouterr().out


def test_the_layer_of_the_visual_features_is_the_models_or_the_configs(model, tmp_path):
    earlier = tmp_path / "earlier"
    shutil.copytree(model, earlier)
    described = json.loads((model / "config.json").read_text())
    (earlier / "config.json").write_text(json.dumps(described | {"vision_feature_layer": -2}))
    tokenizer = load_tokenizer(model)
    for source in (str(model), str(earlier), ""):
        for asked in (0, -1, -2):
            config = settings(model, **{"model.init.model": source, "model.feature_layer": asked})
            own = -2 if source == str(earlier) else -1
            assert experiment.vlsm_config(config, tokenizer).vision.feature_layer == (asked or own)
        config.model.feature_layer = -99
        with pytest.raises(ConfigError, match=r"model: feature_layer is -99; count from the end"):
            experiment.vlsm_config(config, tokenizer)


def test_each_industry_that_no_training_split_has_can_be_adapted_to():
    for industry in adapt.INDUSTRIES:
        config = adapt.get_config(industry)
        check_sections(config)
        assert config.synth.industries == (industry,)
    with pytest.raises(ValueError, match=r"configs/adapt.py:pcb: choose display, led, medical or smoke"):
        adapt.get_config("pcb")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"pipeline.fit": "crop"}, r"pipeline.fit='crop', and model.init.model='.*' was trained with 'pad'"),
        ({"model.init.model": ""}, "evaluate.start is for a run that starts from a model"),
        ({"model.init.model": "/nowhere"}, r"model.init.model='/nowhere': .*no such folder"),
        ({"model.init.decoder": "x"}, "model.init names parts of others too"),
    ],
)
def test_what_does_not_go_together_is_said_before_data_are_made(model, tmp_path, changes, said):
    with pytest.raises(ConfigError, match=said):
        launch.run(settings(model, **changes), tmp_path, "all")
    assert not (tmp_path / "data").exists()


def test_shares_stand_alone(model, tmp_path):
    config = settings(model)
    config.synth.train = 4
    with pytest.raises(ConfigError, match=r"synth\.shares stand alone"):
        launch.run(config, tmp_path, "data")
