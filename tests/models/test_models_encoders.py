"""Encoders: gradients, larger images, and open_clip's own files against a reference in torch."""

import dataclasses
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from flax import nnx
from safetensors.numpy import load_file
from safetensors.torch import save_file
from transformers import CLIPVisionConfig, CLIPVisionModel

from convert import from_hf
from convert.huggingface import read_vision, write_hf_vision
from convert.mapping import pending_tensors
from convert.tables import clip_vision_layout, open_clip_layout
from vlsm_jax.models import UnsupportedConfigError, VisionConfig, VisionEncoder
from vlsm_jax.models.positions import resize_positions
from vlsm_jax.models.vision import CLIP_MEAN, CLIP_STD

HF = {
    "hidden_size": 24,
    "intermediate_size": 40,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "patch_size": 4,
    "image_size": 16,
    "initializer_range": 0.2,
    "initializer_factor": 2.0,
    "hidden_act": "quick_gelu",
}


def randomise(model: torch.nn.Module) -> torch.nn.Module:
    """Biases and norms start at 0 and 1, where an exchange of two would not show."""
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim == 1:
                parameter += 0.3 * torch.randn_like(parameter)
    return model.eval()


def merge(config, params, **options) -> VisionEncoder:
    return nnx.merge(nnx.split(nnx.eval_shape(lambda: VisionEncoder(config, rngs=nnx.Rngs(0), **options)))[0], params)


def pixels(size: int) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(2, size, size, 3)).astype(np.float32)


def channels_first(images: np.ndarray) -> torch.Tensor:
    return torch.tensor(images).permute(0, 3, 1, 2)


def check_gradients(config, params, images, theirs, output, named, layout, **options):
    """Compares all gradients of a weighted sum of `output`, torch's, with ours."""
    weights = np.random.default_rng(1).normal(size=output.shape).astype(np.float32)
    theirs.zero_grad()
    (output * torch.tensor(weights)).sum().backward()
    graphdef = nnx.split(merge(config, params, **options))[0]

    def loss(params):
        return (nnx.merge(graphdef, params)(jnp.asarray(images)) * weights).sum()

    gradients = jax.jit(jax.grad(loss))(params)
    ours = {tensor.name: tensor.make() for tensor in pending_tensors(layout, gradients)}
    compared = 0
    for name, parameter in named.items():
        if parameter.grad is None:  # what takes no part in the output
            assert not np.asarray(ours[name]).any()
            continue
        expected = parameter.grad.numpy()
        scale = np.abs(expected).max()
        # Beside the relative bound an absolute one, since a bias of all keys changes nothing: its gradient is rounding.
        np.testing.assert_allclose(ours[name], expected, atol=1e-4 * scale + 5e-5, err_msg=name)
        compared += scale > 0
    assert compared > 25


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    torch.manual_seed(0)
    model = randomise(CLIPVisionModel(CLIPVisionConfig(**HF)))
    directory = tmp_path_factory.mktemp("clip")
    model.save_pretrained(directory)
    return model, directory


@pytest.mark.parametrize("remat", ["none", "dots"])
def test_gradients_equal_transformers(clip, remat):
    model, directory = clip
    config, params = read_vision(directory)
    images = pixels(16)
    output = model(pixel_values=channels_first(images)).last_hidden_state
    prefix = "" if any(n.startswith("vision_model.") for n, _ in model.named_parameters()) else "vision_model."
    named = {prefix + name: p for name, p in model.named_parameters()}
    check_gradients(config, params, images, model, output, named, clip_vision_layout(), remat=remat)


# --- larger images ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("antialias", [False, True])
@pytest.mark.parametrize(("old", "new"), [(16, 24), (16, 32), (14, 21), (14, 28), (16, 9)])
def test_positions_are_interpolated_as_torch_does(old, new, antialias):
    """224 to 336 and 448 pixels in patches of 14 and 16, and down."""
    table = np.random.default_rng(0).normal(size=(1 + old * old, 5)).astype(np.float32)
    grid = torch.tensor(table[1:]).reshape(1, old, old, 5).permute(0, 3, 1, 2)
    expected = torch.nn.functional.interpolate(
        grid, size=(new, new), mode="bicubic", align_corners=False, antialias=antialias
    )
    ours = np.asarray(resize_positions(jnp.array(table), new, antialias=antialias))
    np.testing.assert_array_equal(ours[0], table[0])
    np.testing.assert_allclose(ours[1:], expected[0].permute(1, 2, 0).reshape(-1, 5), atol=2e-5)


def test_larger_images_equal_transformers(clip, tmp_path):
    """And so does the exported tower, whose positions are the interpolated ones."""
    model, directory = clip
    config, params = read_vision(directory, image_size=28)
    assert (config.tokens, config.positions) == (50, 17)
    images = pixels(28)
    with torch.no_grad():
        expected = model(pixel_values=channels_first(images), interpolate_pos_encoding=True).last_hidden_state.numpy()
    np.testing.assert_allclose(merge(config, params)(jnp.asarray(images)), expected, atol=1e-4)
    with pytest.raises(UnsupportedConfigError, match="its own image size, 28, not 16"):
        config.to_hf_config()
    write_hf_vision(tmp_path / "out", config, params)
    exported, info = CLIPVisionModel.from_pretrained(tmp_path / "out", output_loading_info=True)
    assert not info["missing_keys"]
    assert exported.config.image_size == 28
    with torch.no_grad():
        again = exported(pixel_values=channels_first(images)).last_hidden_state.numpy()
    np.testing.assert_allclose(again, expected, atol=1e-4)
    assert config.for_images(16) == read_vision(directory)[0]


# --- open_clip's own files --------------------------------------------------------------------------------------------


class ReferenceBlock(torch.nn.Module):
    def __init__(self, width, heads, mlp):
        super().__init__()
        self.ln_1, self.ln_2 = torch.nn.LayerNorm(width), torch.nn.LayerNorm(width)
        self.attn = torch.nn.MultiheadAttention(width, heads, batch_first=True)
        self.mlp = torch.nn.ModuleDict({"c_fc": torch.nn.Linear(width, mlp), "c_proj": torch.nn.Linear(mlp, width)})

    def forward(self, x):
        y = self.ln_1(x)
        x = x + self.attn(y, y, y, need_weights=False)[0]
        return x + self.mlp["c_proj"](torch.nn.functional.gelu(self.mlp["c_fc"](self.ln_2(x))))


class Reference(torch.nn.Module):
    """open_clip's vision transformer, up to its last block, with open_clip's names."""

    def __init__(self, width, layers, heads, mlp, patch, size):
        super().__init__()
        self.class_embedding = torch.nn.Parameter(torch.randn(width))
        self.positional_embedding = torch.nn.Parameter(torch.randn((size // patch) ** 2 + 1, width))
        self.proj = torch.nn.Parameter(torch.randn(width, 8))
        self.conv1 = torch.nn.Conv2d(3, width, patch, patch, bias=False)
        self.ln_pre, self.ln_post = torch.nn.LayerNorm(width), torch.nn.LayerNorm(width)
        blocks = torch.nn.ModuleList([ReferenceBlock(width, heads, mlp) for _ in range(layers)])
        self.transformer = torch.nn.ModuleDict({"resblocks": blocks})

    def forward(self, images, layers):
        x = self.conv1(images).flatten(2).transpose(1, 2)
        x = torch.cat([self.class_embedding.expand(len(x), 1, -1), x], dim=1) + self.positional_embedding
        x = self.ln_pre(x)
        for block in self.transformer["resblocks"][:layers]:
            x = block(x)
        return x


@pytest.fixture(scope="module")
def open_clip(tmp_path_factory):
    """A tower with g/14's proportions: heads of 88 channels become 6, and an MLP ratio that has to be cut to an int."""
    torch.manual_seed(0)
    model = randomise(Reference(24, 3, 4, int(24 * 4.3637), 4, 16))
    directory = tmp_path_factory.mktemp("open_clip")
    vision = {"image_size": 16, "layers": 3, "width": 24, "head_width": 6, "mlp_ratio": 4.3637, "patch_size": 4}
    settings = {"model_cfg": {"embed_dim": 8, "vision_cfg": vision, "text_cfg": {}}}
    settings["preprocess_cfg"] = {"mean": [0.5, 0.25, 0.125], "std": list(CLIP_STD)}
    (directory / "open_clip_config.json").write_text(json.dumps(settings))
    tensors = {f"visual.{name}": p.detach().clone() for name, p in model.named_parameters()}
    text = ("positional_embedding", "transformer.resblocks.0.ln_1.weight", "token_embedding.weight", "text_projection")
    tensors |= {name: torch.ones(2, 2) for name in (*text, "ln_final.weight")} | {"logit_scale": torch.tensor(1.0)}
    save_file(tensors, directory / "open_clip_model.safetensors")
    return model, directory


@pytest.mark.parametrize(("layer", "drop"), [(-1, False), (-2, True)])
def test_open_clip_files(open_clip, layer, drop):
    model, directory = open_clip
    config, params = read_vision(directory, feature_layer=layer, drop_cls=drop)
    assert (config.heads, config.mlp_width, config.activation) == (4, 104, "gelu")
    assert config.image_mean == (0.5, 0.25, 0.125)
    images = pixels(16)
    output = model(channels_first(images), 4 + layer)[:, int(drop) :]
    np.testing.assert_allclose(merge(config, params)(jnp.asarray(images)), output.detach(), atol=1e-4)
    named = {f"visual.{n}": p for n, p in model.named_parameters() if n != "proj"}
    check_gradients(config, params, images, model, output, named, open_clip_layout())


def test_open_clip_round_trip_is_bit_equal(open_clip, tmp_path):
    """Back into open_clip's names, and by way of transformers' layout."""
    _, directory = open_clip
    config, params = from_hf(directory)
    source = load_file(directory / "open_clip_model.safetensors")
    written = {t.name: t.make() for t in pending_tensors(open_clip_layout(), params)}
    assert written.keys() == {name for name in source if name.startswith("visual.") and name != "visual.proj"}
    for name, tensor in written.items():
        np.testing.assert_array_equal(tensor, source[name], err_msg=name)
    write_hf_vision(tmp_path / "out", config, params)
    again = read_vision(tmp_path / "out")[1]
    jax.tree.map(np.testing.assert_array_equal, again, params)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"timm_model_name": "vit_base"}, "vision_cfg with timm_model_name"),
        ({"attentional_pool": True, "ls_init_value": 0.1}, "vision_cfg with attentional_pool, ls_init_value"),
        ({"layers": [3, 4, 6, 3]}, "does not say layers as whole numbers"),
    ],
)
def test_other_open_clip_towers_are_refused(changes, message):
    settings = {"vision_cfg": {"layers": 3, "width": 64, "patch_size": 4} | changes}
    with pytest.raises(UnsupportedConfigError, match=message):
        VisionConfig.from_open_clip_config(settings)


def test_open_clip_activation():
    settings = {"vision_cfg": {"layers": 12, "width": 768, "patch_size": 16}}
    assert VisionConfig.from_open_clip_config(settings).activation == "gelu"
    quick = VisionConfig.from_open_clip_config(settings | {"quick_gelu": True})
    assert (quick.activation, quick.heads, quick.mlp_width, quick.image_mean) == ("quick_gelu", 12, 3072, CLIP_MEAN)


def test_position_sizes_divide_into_patches():
    config = VisionConfig(width=32, layers=2, heads=4, mlp_width=64, patch_size=4, image_size=16)
    with pytest.raises(ValueError, match="an image of 18 pixels does not divide"):
        dataclasses.replace(config, position_size=18)
