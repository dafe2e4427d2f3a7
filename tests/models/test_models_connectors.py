"""Resampling connectors against transformers' Idefics2 and BLIP-2: values, gradients, and the VLSM with them."""

import dataclasses
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from flax import nnx
from safetensors.torch import save_file
from transformers import Blip2QFormerConfig, Blip2QFormerModel
from transformers.models.idefics2.configuration_idefics2 import Idefics2Config, Idefics2PerceiverConfig
from transformers.models.idefics2.modeling_idefics2 import Idefics2Connector

from convert.checkpoint_reader import CheckpointReader
from convert.mapping import pending_tensors, read_params
from convert.tables import connector_parts_layout
from vlsm_jax.models import (
    ConnectorConfig,
    DecoderConfig,
    PerceiverSizes,
    QFormerSizes,
    VisionConfig,
    VlsmConfig,
    abstract_model,
)
from vlsm_jax.models.connector import make_connector

D_VISION, D_TEXT = 24, 32
CONFIGS = {
    "perceiver": ConnectorConfig(
        "perceiver", sizes=PerceiverSizes(5, depth=3, heads=4, kv_heads=2, head_dim=6, projection_width=40)
    ),
    "qformer": ConnectorConfig(
        "qformer", sizes=QFormerSizes(5, depth=4, width=16, heads=2, mlp_width=28, cross_every=2)
    ),
    "qformer, all layers cross": ConnectorConfig(
        "qformer", sizes=QFormerSizes(3, depth=2, width=16, heads=4, mlp_width=28, cross_every=1)
    ),
}


class QFormer(torch.nn.Module):
    """What BLIP-2 does between its encoder and its language model."""

    def __init__(self, sizes: QFormerSizes):
        super().__init__()
        self.query_tokens = torch.nn.Parameter(torch.zeros(1, sizes.queries, sizes.width))
        self.qformer = Blip2QFormerModel(
            Blip2QFormerConfig(
                hidden_size=sizes.width,
                num_hidden_layers=sizes.depth,
                num_attention_heads=sizes.heads,
                intermediate_size=sizes.mlp_width,
                cross_attention_frequency=sizes.cross_every,
                encoder_hidden_size=D_VISION,
                layer_norm_eps=sizes.norm_eps,
            )
        )
        self.language_projection = torch.nn.Linear(sizes.width, D_TEXT)

    def forward(self, visual):
        queries = self.query_tokens.expand(len(visual), -1, -1)
        hidden = self.qformer(query_embeds=queries, encoder_hidden_states=visual).last_hidden_state
        return self.language_projection(hidden)


class Perceiver(Idefics2Connector):
    def __init__(self, sizes: PerceiverSizes):
        text = {"hidden_size": D_TEXT, "intermediate_size": sizes.projection_width, "hidden_act": "silu"}
        config = Idefics2Config(
            vision_config={"hidden_size": D_VISION},
            text_config={"model_type": "mistral", "num_attention_heads": 4, "num_key_value_heads": 4, **text},
            perceiver_config=Idefics2PerceiverConfig(
                hidden_size=D_TEXT,
                rms_norm_eps=sizes.norm_eps,
                resampler_n_latents=sizes.queries,
                resampler_depth=sizes.depth,
                resampler_n_heads=sizes.heads,
                resampler_head_dim=sizes.head_dim,
                num_key_value_heads=sizes.kv_heads,
            ),
        )
        super().__init__(config)

    def forward(self, visual):
        return super().forward(visual, torch.ones(visual.shape[:2], dtype=torch.long))


@pytest.fixture(scope="module", params=CONFIGS)
def pair(request, tmp_path_factory):
    """transformers' module with random weights, and our parameters read from its tensors."""
    config = CONFIGS[request.param]
    torch.manual_seed(0)
    model = {"perceiver": Perceiver, "qformer": QFormer}[config.kind](config.sizes).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.randn_like(parameter) * 0.3 + (parameter.ndim == 1))
    directory = tmp_path_factory.mktemp("connector")
    save_file({n: p.detach().contiguous() for n, p in model.named_parameters()}, directory / "model.safetensors")
    abstract = nnx.state(nnx.eval_shape(lambda: make_connector(config, D_VISION, D_TEXT, rngs=nnx.Rngs(0))))
    params = read_params(CheckpointReader(directory), connector_parts_layout(config), abstract)
    return config, model, params


def merge(config, params, **options):
    make = lambda: make_connector(config, D_VISION, D_TEXT, rngs=nnx.Rngs(0), **options)  # noqa: E731
    return nnx.merge(nnx.split(nnx.eval_shape(make))[0], params)


def visual_tokens() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(2, 9, D_VISION)).astype(np.float32)


def test_equals_transformers(pair):
    config, model, params = pair
    visual = visual_tokens()
    with torch.no_grad():
        expected = model(torch.tensor(visual)).numpy()
    ours = merge(config, params)(jnp.array(visual))
    assert ours.shape == (2, config.tokens(9), D_TEXT)
    np.testing.assert_allclose(ours, expected, atol=1e-4 * np.abs(expected).max())
    half = merge(config, params, dtype=jnp.bfloat16)(jnp.array(visual))
    assert half.dtype == jnp.bfloat16
    np.testing.assert_allclose(half.astype(jnp.float32), expected, atol=0.1 * np.abs(expected).max())


@pytest.mark.parametrize("remat", ["full", "dots"])
def test_remat_keeps_no_layers_kernels_and_gives_the_same_gradients(pair, remat):
    config, _, params = pair
    visual = jnp.array(visual_tokens())

    def gradient(remat: str, dtype=jnp.float32):
        def loss(params):
            return jnp.sum(jnp.sin(merge(config, params, remat=remat, dtype=dtype)(visual)).astype(jnp.float32))

        return jax.grad(loss), jax.make_jaxpr(lambda p: jax.vjp(loss, p)[1])(params)

    plain, made_again = gradient("none")[0](params), gradient(remat)[0](params)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6), plain, made_again)
    # In bfloat16 each layer casts its kernels. What the backward pass finds stored must not have them for all layers.
    kernels = {x.shape[1:] for x in jax.tree.leaves(params["layers"]) if x.ndim > 2}

    def stored(remat: str) -> set[tuple[int, ...]]:  # shapes without the axis of the layers
        outputs = gradient(remat, jnp.bfloat16)[1].out_avals
        return {x.shape[1:] for x in outputs if x.dtype == jnp.bfloat16} & kernels

    assert stored("none")
    assert not stored(remat)


def test_gradients_equal_torch(pair):
    config, model, params = pair
    visual = torch.tensor(visual_tokens(), requires_grad=True)
    model.zero_grad()
    output = model(visual)
    weights = np.random.default_rng(1).normal(size=output.shape).astype(np.float32)
    (output * torch.tensor(weights)).sum().backward()

    def loss(params, x):
        return (merge(config, params)(x) * weights).sum()

    gradients, by_x = jax.jit(jax.grad(loss, (0, 1)))(params, jnp.array(visual.detach().numpy()))
    ours = {t.name: t.make() for t in pending_tensors(connector_parts_layout(config), gradients)}
    theirs = {name: parameter.grad.numpy() for name, parameter in model.named_parameters()}
    assert ours.keys() == theirs.keys()
    largest = max(np.abs(g).max() for g in theirs.values())
    for name, expected in theirs.items():
        # A bias of all keys changes nothing: its gradient is rounding.
        scale = max(np.abs(expected).max(), 1e-2 * largest)
        np.testing.assert_allclose(ours[name], expected, atol=1e-4 * scale, err_msg=name)
    np.testing.assert_allclose(by_x, visual.grad, atol=1e-4 * np.abs(visual.grad.numpy()).max())


def test_defaults_are_the_sources():
    theirs = Idefics2PerceiverConfig()
    sizes = ConnectorConfig("perceiver").sizes
    assert (sizes.queries, sizes.depth, sizes.heads) == (
        theirs.resampler_n_latents,
        theirs.resampler_depth,
        theirs.resampler_n_heads,
    )
    assert (sizes.head_dim, sizes.kv_heads) == (theirs.resampler_head_dim, theirs.num_key_value_heads)
    theirs = Blip2QFormerConfig()
    sizes = ConnectorConfig("qformer").sizes
    assert (sizes.depth, sizes.width, sizes.heads) == (
        theirs.num_hidden_layers,
        theirs.hidden_size,
        theirs.num_attention_heads,
    )
    assert (sizes.mlp_width, sizes.cross_every, sizes.norm_eps) == (
        theirs.intermediate_size,
        theirs.cross_attention_frequency,
        theirs.layer_norm_eps,
    )
    assert sizes.queries == 32


@pytest.mark.parametrize("kind", ["linear", "mlp", "perceiver", "qformer"])
def test_vlsm_with_any_connector(kind):
    """The number of visual tokens follows the connector, and the config survives JSON."""
    connector = next((c for c in CONFIGS.values() if c.kind == kind), ConnectorConfig(kind))
    config = VlsmConfig(
        VisionConfig(width=D_VISION, layers=1, heads=4, mlp_width=32, patch_size=4, image_size=16),
        connector,
        DecoderConfig("llama", 61, D_TEXT, 1, 4, 2, 8, 48),
        image_token_id=61,
    )
    assert VlsmConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config
    assert config.visual_tokens == (17 if kind in ("linear", "mlp") else 5)
    graphdef, abstract = abstract_model(config)
    images = jax.ShapeDtypeStruct((1, 16, 16, 3), jnp.uint8)
    visual = jax.eval_shape(lambda p, x: nnx.merge(graphdef, p).encode_images(x), abstract, images)
    assert visual.shape == (1, config.visual_tokens, D_TEXT)


def test_fresh_queries_differ():
    """Equal ones would have equal gradients, and so stay equal."""
    for kind, leaf in (("perceiver", "latents"), ("qformer", "queries")):
        connector = make_connector(CONFIGS[kind], D_VISION, D_TEXT, rngs=nnx.Rngs(0))
        queries = np.asarray(nnx.state(connector)[leaf].get_value())
        assert np.abs(queries[0] - queries[1]).max() > 1e-3


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"kind": "linear", "sizes": {"queries": 3}},
            "a linear connector has no sizes",
        ),
        ({"kind": "perceiver", "sizes": QFormerSizes()}, "takes PerceiverSizes, not QFormerSizes"),
        ({"kind": "qformer", "hidden": 3}, "a qformer connector has no hidden layer"),
    ],
)
def test_settings_of_another_kind(options, message):
    with pytest.raises(ValueError, match=message):
        ConnectorConfig(**options)


@pytest.mark.parametrize(
    ("sizes", "changes", "message"),
    [
        (PerceiverSizes(), {"kv_heads": 3}, "16 query heads cannot be shared among 3 KV heads"),
        (QFormerSizes(), {"heads": 7}, "a width of 768 does not divide among 7 heads"),
        (QFormerSizes(), {"cross_every": 5}, "cross_every is 5, which does not divide 12 layers"),
    ],
)
def test_impossible_sizes(sizes, changes, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(sizes, **changes)
