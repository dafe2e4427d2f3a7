import pytest

from vlsm_jax.data.images import Fit
from vlsm_jax.data.pipeline import PipelineConfig
from vlsm_jax.training.config import ConfigError, build
from vlsm_jax.training.loop import TrainConfig

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
