import functools

import pytest

from configs import quickstart
from vlsm_jax.data.images import Fit
from vlsm_jax.data.pipeline import PipelineConfig
from vlsm_jax.training.config import ConfigError, build
from vlsm_jax.training.loop import TrainConfig
from vlsm_jax.training.network import adaptation_of
from vlsm_jax.training.optimizer import OptimizerConfig
from vlsm_jax.training.sections import check_sections

PIPELINE = {"sequence_length": 64, "batch_size": 2}
DERIVED = {"image_size": 32, "visual_tokens": 5}


def test_a_section_becomes_its_dataclass():
    config = build(PipelineConfig, {**PIPELINE, "fit": "squash"}, "pipeline", **DERIVED)
    assert config == PipelineConfig(64, 2, 32, 5, fit=Fit.SQUASH)


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ({**PIPELINE, "batchsize": 2}, r"no config key pipeline\.batchsize; did you mean pipeline\.batch_size\?"),
        ({**PIPELINE, "image_size": 2}, r"no config key pipeline\.image_size"),
        ({"batch_size": 2}, r"lacks pipeline\.sequence_length"),
        ({**PIPELINE, "fit": "stretch"}, r"pipeline\.fit='stretch'; choose one of pad, squash, crop"),
        ({**PIPELINE, "batch_size": "two"}, r"pipeline\.batch_size='two' is str; expected int"),
        ({**PIPELINE, "pack": 1}, r"pipeline\.pack=1 is int; expected bool"),
    ],
)
def test_what_does_not_fit_is_named(section, message):
    with pytest.raises(ConfigError, match=message):
        build(PipelineConfig, section, "pipeline", **DERIVED)


def test_whole_numbers_serve_as_floats():
    assert build(TrainConfig, {"steps": 3}, "train").steps == 3


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"trian": {}}, r"no config key config\.trian; did you mean config\.train\?"),
        ({"seed": -1}, r"config: seed=-1; choose a number from 0 to 2147483647"),
        ({"seed": 2**40}, r"config: seed=1099511627776"),
        ({"export": "no"}, r"config\.export='no' is str; expected bool"),
        ({"evaluate.sample": 3}, r"no config key evaluate\.sample; did you mean evaluate\.samples\?"),
        ({"evaluate.samples": "4"}, r"evaluate\.samples='4' is str; expected int"),
        ({"evaluate.max_tokens": 0}, r"evaluate: max_tokens=0; choose a number above 0"),
        ({"evaluate.until": float("nan")}, r"evaluate: until=nan"),
        (
            {"evaluate.ways": ("greedy,beam",)},
            r"evaluate: no way 'beam'; there are greedy, constrained, named, best-of-N",
        ),
        ({"evaluate.splits": ()}, r"evaluate: splits is empty; name at least one"),
        ({"evaluate.checkpoint": "newest"}, r"evaluate: checkpoint='newest'; choose one of last, best"),
        ({"evaluate.svr_weights": ((0.6, 0.4), (1.0,))}, r"evaluate: svr_weights: \(1\.0,\)"),
        ({"data.directry": ""}, r"no config key data\.directry; did you mean data\.directory\?"),
        ({"data.most_bad": 2.0}, r"data: most_bad=2\.0"),
        ({"data.vocab_size": 0}, r"data: vocab_size=0 is below 1"),
        ({"data.columns.image": 3}, r"data\.columns\.image=3 is int; expected str"),
        ({"mesh.pipe": 1}, r"no config key mesh\.pipe; there are data, fsdp, tensor"),
        ({"mesh.data": "all"}, r"mesh\.data='all' is str; expected int"),
        ({"model.quantize": "nf4"}, r"no config key model\.quantize; did you mean model\.quantise\?"),
        ({"model.compute_dtype": "float8"}, r"model: compute_dtype='float8'; choose 'float32' or 'bfloat16'"),
        ({"model.remat": 3}, r"model\.remat=3 is int; expected bool or str"),
        ({"model.vision": "clip"}, r"model\.vision='clip' is str; expected a section of keys or None"),
        ({"model.decoder.num_attention_heads": 0}, r"model: decoder\.num_attention_heads=0; choose a whole number"),
        ({"model.vision.hidden_size": "64"}, r"model: vision\.hidden_size='64'"),
        ({"plan": {"pictures": -1}}, r"plan: pictures=-1"),
    ],
)
def test_every_key_of_an_experiment_is_looked_at(changes, message):
    config = quickstart.get_config("smoke")
    check_sections(config)
    with config.unlocked():
        for name, value in changes.items():
            *sections, key = name.split(".")
            section = functools.reduce(lambda found, part: found[part], sections, config)
            with section.ignore_type():
                section[key] = value
    with pytest.raises(ConfigError, match=message):
        check_sections(config)


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ({"learning_rate": -1.0}, r"optimizer: learning_rate=-1\.0; choose 0 or a positive number"),
        ({"learning_rate": float("nan")}, r"learning_rate=nan"),
        ({"warmup_steps": -1}, r"warmup_steps=-1"),
        ({"clip_norm": float("inf")}, r"clip_norm=inf"),
        ({"final_fraction": 1.5}, r"final_fraction=1\.5; choose a share of the peak"),
        ({"beta1": 1.0}, r"beta1=1\.0; choose at least 0 and less than 1"),
        ({"beta2": -0.1}, r"beta2=-0\.1"),
    ],
)
def test_an_optimizer_that_could_not_learn_is_refused(section, message):
    with pytest.raises(ConfigError, match=message):
        build(OptimizerConfig, section, "optimizer")


@pytest.mark.parametrize(
    ("rules", "message"),
    [
        (".*", r"train: trainable: '\.'; each rule is a regular expression and True or False"),
        (((".*",),), r"each rule is a regular expression and True or False"),
        (((".*", "no"),), r"each rule is a regular expression and True or False"),
        ((("(", True),), r"trainable: '\(' is no regular expression"),
        (3, r"train\.trainable=3 is int; expected a list"),
    ],
)
def test_rules_of_what_is_trained_are_rules(rules, message):
    with pytest.raises(ConfigError, match=message):
        build(TrainConfig, {"steps": 1, "trainable": rules}, "train")


def test_adapters_that_are_switched_off_are_looked_at_too():
    assert adaptation_of({"lora": {"rank": 0, "alpha": 16.0}}).lora is None
    with pytest.raises(ConfigError, match=r"no config key model\.lora\.dropuot; did you mean model\.lora\.dropout\?"):
        adaptation_of({"lora": {"rank": 0, "alpha": 16.0, "dropuot": 0.1}})
