"""The vision encoder and the connectors against transformers and torch."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from flax import nnx
from transformers import CLIPVisionConfig, CLIPVisionModel

from convert.huggingface import read_vision
from convert.mapping import flatten_params
from vlsm_jax.data.annotations import Patches, seen_patches
from vlsm_jax.data.images import Fit
from vlsm_jax.models import ConnectorConfig, VisionEncoder
from vlsm_jax.models.connector import make_connector
from vlsm_jax.models.vision import CLIP_MEAN, CLIP_STD, VisionConfig

SIZES = {
    "hidden_size": 24,
    "intermediate_size": 40,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "patch_size": 4,
    "image_size": 16,
    "initializer_range": 0.2,
    "initializer_factor": 2.0,
}


@pytest.fixture(scope="module", params=["quick_gelu", "gelu"])
def pair(request, tmp_path_factory):
    torch.manual_seed(0)
    model = CLIPVisionModel(CLIPVisionConfig(**SIZES, hidden_act=request.param)).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim == 1:
                parameter += 0.3 * torch.randn_like(parameter)
    directory = tmp_path_factory.mktemp("vision")
    model.save_pretrained(directory)
    config, params = read_vision(directory)
    assert config.activation == request.param
    return model, config, params


def encoder(config, params, **options) -> VisionEncoder:
    return nnx.merge(nnx.split(VisionEncoder(config, rngs=nnx.Rngs(0), **options))[0], params)


OWN = VisionConfig(
    width=24,
    layers=2,
    heads=2,
    mlp_width=40,
    patch_size=4,
    image_size=16,
    activation="gelu",
    stem_channels=(5, 6),
    rope_theta=7.0,
)


def own_params() -> nnx.State:
    """Parameters of our own encoder of which no two are alike."""
    rng = np.random.default_rng(0)
    params = nnx.state(nnx.eval_shape(lambda: VisionEncoder(OWN, rngs=nnx.Rngs(0))))
    return jax.tree.map(lambda x: jnp.array(rng.normal(size=x.shape, scale=0.3), x.dtype), params)


def random_images(count=2) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, 16, 16, 3), dtype=np.uint8)


def normalised(images: np.ndarray) -> np.ndarray:
    return ((images / 255 - np.array(CLIP_MEAN)) / np.array(CLIP_STD)).astype(np.float32)


def hidden_states(model, images) -> list[np.ndarray]:
    with torch.no_grad():
        out = model(pixel_values=torch.tensor(normalised(images)).permute(0, 3, 1, 2), output_hidden_states=True)
    return [h.numpy() for h in out.hidden_states]


@pytest.mark.parametrize("options", [{}, {"scan_layers": False}, {"remat": "full"}])
def test_equals_transformers(pair, options):
    model, config, params = pair
    images = random_images()
    expected = hidden_states(model, images)[-1]
    features = encoder(config, params, **options)(jnp.array(images))
    assert features.shape == (2, 17, 24) == (2, config.tokens, config.width)
    np.testing.assert_allclose(features, expected, atol=1e-4)
    np.testing.assert_allclose(encoder(config, params)(jnp.array(normalised(images))), expected, atol=1e-4)


@pytest.mark.parametrize("scan", [True, False])
def test_earlier_layer_without_cls(pair, scan):
    model, config, params = pair
    images = random_images()
    config = dataclasses.replace(config, feature_layer=-2, drop_cls=True)
    features = encoder(config, params, scan_layers=scan)(jnp.array(images))
    assert features.shape[1] == config.tokens == 16
    np.testing.assert_allclose(features, hidden_states(model, images)[-2][:, 1:], atol=1e-4)


def test_activations_differ(pair):
    """The two activations are close enough that a wrong one is easily missed."""
    _, config, params = pair
    other = dataclasses.replace(config, activation={"gelu": "quick_gelu", "quick_gelu": "gelu"}[config.activation])
    images = jnp.array(random_images())
    assert np.abs(encoder(config, params)(images) - encoder(other, params)(images)).max() > 1e-2


def test_bfloat16(pair):
    _, config, params = pair
    images = jnp.array(random_images())
    half = encoder(config, params, dtype=jnp.bfloat16)(images)
    assert half.dtype == jnp.bfloat16
    full = encoder(config, params)(images)
    np.testing.assert_allclose(half.astype(jnp.float32), full, atol=0.05 * np.abs(full).max())


@pytest.mark.parametrize("kept", [None, [[3, 7, 8], [0, 7, 15]]])
def test_our_own_encoder_equals_one_of_pytorch(kept):
    """A stem of PyTorch's convolutions, attention whose queries and keys are turned as complex numbers."""
    params = own_params()
    weights = {path: torch.tensor(np.asarray(x)) for path, x in flatten_params(params).items()}
    images = random_images()
    pixels = torch.nn.functional.pad(torch.tensor(normalised(images)).permute(0, 3, 1, 2), (2, 1, 2, 1), "replicate")
    for number in range(2):
        name = f"stem/convolution_{number}"
        pixels = torch.nn.functional.conv2d(pixels, weights[f"{name}/kernel"].permute(3, 2, 0, 1), stride=2)
        scale, bias = weights[f"{name}/norm/scale"], weights[f"{name}/norm/bias"]
        pixels = torch.relu(torch.nn.functional.layer_norm(pixels.permute(0, 2, 3, 1), scale.shape, scale, bias))
        pixels = pixels.permute(0, 3, 1, 2)
    assert pixels.shape == (2, 6, 4, 4)
    patches = pixels.flatten(2).swapaxes(1, 2) @ weights["patch/kernel"][0, 0] + weights["position/table"][1:]
    at = torch.arange(16).repeat(2, 1) if kept is None else torch.tensor(kept)
    patches = patches[torch.arange(2)[:, None], at]
    x = torch.cat([(weights["cls"] + weights["position/table"][0]).repeat(2, 1, 1), patches], 1)

    def norm(x, name):
        return torch.nn.functional.layer_norm(x, (24,), weights[f"{name}/scale"], weights[f"{name}/bias"])

    x = norm(x, "pre_norm")
    # Features 0 to 2 turn by column, 3 to 5 by row, each with the one six behind it.
    rates = torch.tensor([7.0 ** (-i / 3) for i in range(3)])
    angles = torch.cat([(at % 4)[..., None] * rates, (at // 4)[..., None] * rates], -1)
    turns = torch.polar(torch.ones(()), torch.nn.functional.pad(angles, (0, 0, 1, 0)))[:, :, None]

    def turned(x):
        x = torch.complex(x[..., :6], x[..., 6:]) * turns
        return torch.cat([x.real, x.imag], -1)

    for layer in range(2):

        def of(name, layer=layer):
            return weights[f"layers/{name}"][layer]

        def normed(x, name, of=of):
            return torch.nn.functional.layer_norm(x, (24,), of(f"{name}/scale"), of(f"{name}/bias"))

        y = normed(x, "attention_norm")
        q, k, v = (torch.einsum("nvd,dhe->nvhe", y, of(f"{n}/kernel")) + of(f"{n}/bias") for n in "qkv")
        scores = torch.einsum("nqhe,nkhe->nhqk", turned(q), turned(k)) / 12**0.5
        seen = torch.einsum("nhqk,nkhe->nqhe", scores.softmax(-1), v)
        x = x + torch.einsum("nvhe,hed->nvd", seen, of("o/kernel")) + of("o/bias")
        y = torch.nn.functional.gelu(normed(x, "mlp_norm") @ of("up/kernel") + of("up/bias"))
        x = x + y @ of("down/kernel") + of("down/bias")
    model = encoder(OWN, params)
    ours = model(jnp.array(images), kept=None if kept is None else jnp.array(kept))
    np.testing.assert_allclose(ours, x, atol=2e-4 * abs(x).max())
    assert abs(model(jnp.array(normalised(images))) - model(jnp.array(images))).max() < 1e-3


@pytest.mark.parametrize("drop_cls", [False, True])
@pytest.mark.parametrize("own", [False, True])
def test_of_kept_patches_each_is_seen_at_its_place(pair, drop_cls, own):
    _, config, params = (None, OWN, own_params()) if own else pair
    config = dataclasses.replace(config, drop_cls=drop_cls)
    model, images = encoder(config, params), random_images()
    np.testing.assert_allclose(model(images, kept=jnp.tile(jnp.arange(16), (2, 1))), model(images), atol=1e-5)
    kept = jnp.array([[3, 7, 8], [0, 7, 15]])
    seen = model(images, kept=kept)
    assert seen.shape == (2, 3 + (not drop_cls), config.width)
    # What is not kept is not looked at, and what is, is looked at where it is.
    for image, places in enumerate(kept):
        hidden = np.ones((4, 4), bool)
        hidden[places // 4, places % 4] = False
        if own:  # a stem sees 7 x 7 pixels around a patch's middle
            continue
        changed = np.where(hidden.repeat(4, 0).repeat(4, 1)[..., None], 255 - images[image], images[image])
        np.testing.assert_array_equal(
            model(changed[None], kept=places[None])[0], model(images[image][None], kept=places[None])[0]
        )
    moved = images.reshape(2, 4, 4, 4, 4, 3).swapaxes(2, 3).reshape(2, 16, 4, 4, 3)
    moved = moved[:, np.roll(np.arange(16), 1)].reshape(2, 4, 4, 4, 4, 3).swapaxes(2, 3).reshape(2, 16, 16, 3)
    elsewhere = model(moved, kept=(kept + 1) % 16)
    assert abs(elsewhere - seen).max() > 0.1


@pytest.mark.parametrize("drop_cls", [False, True])
@pytest.mark.parametrize("own", [False, True])
def test_by_itself_it_sees_the_patches_that_differ_most(pair, drop_cls, own):
    _, config, params = (None, OWN, own_params()) if own else pair
    config = dataclasses.replace(config, drop_cls=drop_cls)
    images = random_images()
    images[0] //= 4
    images[0, :, 4:12] //= 8  # eight patches that differ less
    images[1, 4:8] = 200  # four without anything
    few = dataclasses.replace(config, seen_patches=8)
    assert few.tokens == 8 + (not drop_cls)
    chosen = np.array([seen_patches(image, Patches(16, 4, few.tokens, Fit.PAD, seen=8)) for image in images])
    assert chosen[0].tolist() == [0, 3, 4, 7, 8, 11, 12, 15]
    assert not set(chosen[1]) & {4, 5, 6, 7}
    seen = encoder(few, params)(images)
    assert seen.shape == (2, few.tokens, 24)
    np.testing.assert_allclose(seen, encoder(config, params)(images, kept=jnp.array(chosen)), atol=1e-5)
    np.testing.assert_allclose(seen, encoder(few, params)(normalised(images)), atol=1e-4)


def test_of_patches_that_differ_alike_the_first_are_seen_and_targets_go_with_them():
    flat = np.zeros((1, 16, 16, 3), np.uint8)
    for image in (flat, np.random.default_rng(3).integers(0, 3, flat.shape).astype(np.uint8)):
        patches = Patches(16, 4, 6, Fit.PAD, seen=5)
        seen = seen_patches(image[0], patches)
        few = encoder(dataclasses.replace(OWN, seen_patches=5), own_params())
        told = encoder(OWN, own_params())(image, kept=jnp.array(seen)[None])
        np.testing.assert_allclose(few(image), told, atol=1e-5)
        targets = np.arange(17)[:, None].repeat(4, 1)
        np.testing.assert_array_equal(patches.targets_of(seen, targets)[:, 0], [0, *(seen + 1)])
    assert seen_patches(flat[0], patches).tolist() == [0, 1, 2, 3, 4]
    assert seen_patches(flat[0], Patches(16, 4, 17, Fit.PAD)).tolist() == list(range(16))


def test_a_stem_sees_the_pixels_around_a_patch_and_no_more():
    model, image = encoder(OWN, own_params()), random_images(1)
    seen = model(image, kept=jnp.array([[5]]))  # rows and columns 4 to 7 of it, and from 2 to 8 all that is seen
    for row, column in [(2, 2), (8, 5), (5, 8), (1, 5), (5, 9), (9, 9)]:
        changed = image.copy()
        changed[0, row, column] ^= 255
        same = np.array_equal(model(changed, kept=jnp.array([[5]])), seen)
        assert same == (min(row, column) < 2 or max(row, column) > 8), (row, column)


def test_an_encoder_with_a_stem_does_not_see_how_light_a_picture_is_either():
    model, images = VisionEncoder(OWN, rngs=nnx.Rngs(0)), normalised(random_images())
    assert not model.patch.kernel[...].any(), "places alone are seen at first"
    model.patch.kernel[...] = jax.random.normal(jax.random.key(1), model.patch.kernel[...].shape) * 0.1
    np.testing.assert_allclose(model(images + np.float32(0.7)), model(images), atol=1e-3)
    assert abs(model(np.sqrt(images - images.min())) - model(images)).max() > 1e-2


def test_an_encoder_from_nothing_does_not_see_how_light_a_patch_is(pair):
    model, images = VisionEncoder(pair[1], rngs=nnx.Rngs(0)), normalised(random_images())
    light = np.random.default_rng(1).normal(size=(2, 4, 1, 4, 1, 3)).repeat(4, 2).repeat(4, 4).reshape(images.shape)
    np.testing.assert_allclose(model(images + light.astype(np.float32)), model(images), atol=1e-5)
    assert abs(model(images * 2) - model(images)).max() > 1e-3


def test_places_of_an_encoder_from_nothing_differ_by_their_distance(pair):
    config = pair[1]
    table = np.asarray(VisionEncoder(config, rngs=nnx.Rngs(0)).position.table[...], float)[1:]
    row, column = np.divmod(np.arange(16), 4)
    rates = 100.0 ** (-np.arange(6) / 6)  # of 24 features, four for each wave
    expected = sum(
        np.cos(rate * (at[:, None] - at[None, :])) for rate in rates for at in (row.astype(float), column.astype(float))
    )
    np.testing.assert_allclose(table @ table.T, (config.init_std * config.patch_size) ** 2 * expected, atol=1e-5)


def test_wrong_image_shape(pair):
    _, config, params = pair
    with pytest.raises(ValueError, match=r"\(1, 16, 12, 3\); this encoder takes \[N, 16, 16, 3\]"):
        encoder(config, params)(jnp.zeros((1, 16, 12, 3), jnp.uint8))


def test_connectors_equal_torch():
    x = np.random.default_rng(0).normal(size=(2, 5, 24)).astype(np.float32)
    config = ConnectorConfig("mlp", init_std=0.5)
    ours = make_connector(config, 24, 32, rngs=nnx.Rngs(0))
    first, second = torch.nn.Linear(24, 32), torch.nn.Linear(32, 32)
    with torch.no_grad():
        for theirs, dense in ((first, ours.linear_1), (second, ours.linear_2)):
            dense.bias.set_value(jax.random.normal(jax.random.key(1), (32,)))
            theirs.weight.copy_(torch.tensor(np.asarray(dense.kernel[...]).T))
            theirs.bias.copy_(torch.tensor(np.asarray(dense.bias[...])))
        expected = torch.nn.Sequential(first, torch.nn.GELU(), second)(torch.tensor(x)).numpy()
    np.testing.assert_allclose(ours(jnp.array(x)), expected, atol=1e-4)

    linear = make_connector(ConnectorConfig("linear"), 24, 32, rngs=nnx.Rngs(0))
    np.testing.assert_allclose(linear(jnp.array(x)), x @ np.asarray(linear.linear.kernel[...]), atol=1e-5)


def test_connector_init_is_the_papers():
    """N(0, 0.01) and no bias."""
    connector = make_connector(ConnectorConfig("linear"), 400, 500, rngs=nnx.Rngs(0))
    kernel = np.asarray(connector.linear.kernel[...])
    assert kernel.std() == pytest.approx(0.01, rel=0.02)
    assert abs(kernel.mean()) < 1e-4
    assert not connector.linear.bias[...].any()


def test_hidden_width_of_the_connector():
    connector = make_connector(ConnectorConfig("mlp", hidden=7), 24, 32, rngs=nnx.Rngs(0))
    assert connector.linear_1.kernel[...].shape == (24, 7)
    with pytest.raises(ValueError, match="linear connector has no hidden layer"):
        ConnectorConfig("linear", hidden=7)
