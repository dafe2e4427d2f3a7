"""Names, shapes, axes and places of all parameters of all presets: a change of layout shows in review.

After a change that is meant, `python tests/models/test_models_golden.py` writes the files anew.
"""

import json
import math
from pathlib import Path

import jax
import pytest
from flax import nnx

from vlsm_jax.models import ConnectorConfig, Decoder, DecoderConfig, VisionConfig, VisionEncoder
from vlsm_jax.models.connector import CONNECTORS, make_connector
from vlsm_jax.models.presets import DECODER_PRESETS, VISION_PRESETS, decoder_preset, vision_preset
from vlsm_jax.sharding import DEFAULT_RULES, MESH_AXES, Rule, param_shardings

GOLDEN = Path(__file__).parent / "golden"
# Four KV heads divide among two devices; Gemma 3 270M has one, which no two can share.
MESH = jax.sharding.AbstractMesh((2, 2, 2), MESH_AXES)
WHOLE_KV = (("gemma3-270m", "kv_heads"),)


def modules() -> dict:
    """Every preset, and every connector between the paper's encoder and TinyLLaMA, by file name."""
    made = {name: lambda name=name: Decoder(decoder_preset(name), rngs=nnx.Rngs(0)) for name in DECODER_PRESETS}
    made |= {name: lambda name=name: VisionEncoder(vision_preset(name), rngs=nnx.Rngs(0)) for name in VISION_PRESETS}
    for kind in CONNECTORS:
        made[f"connector-{kind}"] = lambda kind=kind: make_connector(
            ConnectorConfig(kind), 1280, 2048, rngs=nnx.Rngs(0)
        )
    return made


def layout(name: str) -> dict[str, str]:
    """Parameter to "shape | logical axes | spec"."""
    rules = tuple(Rule(axis, None) for preset, axis in WHOLE_KV if preset == name) + DEFAULT_RULES
    abstract = nnx.state(nnx.eval_shape(modules()[name]))
    placed = dict(nnx.to_flat_state(param_shardings(abstract, MESH, rules)))
    lines = {}
    for path, param in nnx.to_flat_state(abstract):
        spec = ", ".join(axis or "-" for axis in placed[path].get_value().spec)
        shape = " x ".join(map(str, param.get_value().shape))
        lines["/".join(path)] = f"{shape} | {', '.join(param.logical_axes)} | {spec}"
    return lines


@pytest.mark.parametrize("name", modules())
def test_layout_is_as_recorded(name):
    recorded = json.loads((GOLDEN / f"{name}.json").read_text())
    assert layout(name) == recorded


def test_no_record_is_left_over():
    assert {path.stem for path in GOLDEN.glob("*.json")} == set(modules())


def test_published_encoder_sizes():
    """open_clip's table of towers, in millions, with their projections to the joint space."""
    expected = {
        "clip-vit-b-16": (86.19, 512),
        "clip-vit-l-14": (303.97, 768),
        "openclip-vit-h-14": (632.08, 1024),
        "openclip-vit-g-14": (1012.65, 1024),
    }
    for name, (millions, joint) in expected.items():
        abstract = nnx.state(nnx.eval_shape(modules()[name]))
        count = sum(math.prod(x.shape) for x in jax.tree.leaves(abstract)) + vision_preset(name).width * joint
        assert round(count / 1e6, 2) == millions, name


def test_presets_by_name():
    assert isinstance(decoder_preset("llama3.1-8b"), DecoderConfig)
    assert isinstance(vision_preset("openclip-vit-g-14"), VisionConfig)
    with pytest.raises(ValueError, match=r"decoder preset 'gpt' is not one of tinyllama-1\.1b,"):
        decoder_preset("gpt")
    with pytest.raises(ValueError, match="encoder preset 'resnet' is not one of clip-vit-b-16,"):
        vision_preset("resnet")


if __name__ == "__main__":
    GOLDEN.mkdir(exist_ok=True)
    for each in modules():
        (GOLDEN / f"{each}.json").write_text(json.dumps(layout(each), indent=1) + "\n")
