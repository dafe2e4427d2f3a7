"""The cache: rings of sliding windows, layer by layer, filled and extended, against the whole sequence at once."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from vlsm_jax.models import Decoder, DecoderConfig
from vlsm_jax.models.cache import CacheSize, KVCache
from vlsm_jax.models.layerwise import Layerwise, take_apart
from vlsm_jax.training.network import flatten, unflatten

KINDS = {
    "unlimited": {},
    "window": {"sliding_window": 4},
    "local and global": {"sliding_window": 4, "global_layers": (1,), "rope_local_theta": 1000.0},
}
LENGTHS, TOTAL, AHEAD = (3, 9, 5), 24, 3


def config_of(kind: str) -> DecoderConfig:
    return DecoderConfig("llama", 61, 32, 3, 4, 2, 8, 48, init_std=0.2, **KINDS[kind])


@pytest.fixture(scope="module", params=KINDS)
def decoder(request):
    return Decoder(config_of(request.param), rngs=nnx.Rngs(0))


def run(decoder, tokens, **kwargs):
    graphdef, params = nnx.split(decoder)

    @jax.jit
    def forward(params, tokens, positions, cache):
        model = nnx.merge(graphdef, params)
        size = kwargs.get("size")
        hidden, cache = model(model.embed(tokens), positions=positions, cache=cache if size is None else size)
        return model.logits(hidden), cache

    return forward(params, jnp.asarray(tokens), jnp.asarray(kwargs["positions"]), kwargs.get("cache"))


def test_a_cache_filled_and_extended_gives_the_scores_of_the_whole(decoder):
    """Prompts of different lengths, then steps of three tokens of which the last ones are taken back in turns."""
    rng = np.random.default_rng(0)
    tokens = rng.integers(3, 61, (3, TOTAL))
    whole, _ = run(decoder, tokens, positions=np.broadcast_to(np.arange(TOTAL), tokens.shape))
    positions = np.where(np.arange(9) < np.array(LENGTHS)[:, None], np.arange(9), -1)
    logits, cache = run(decoder, tokens[:, :9], positions=positions, size=CacheSize(TOTAL, AHEAD))
    for row, length in enumerate(LENGTHS):
        np.testing.assert_allclose(logits[row, :length], whole[row, :length], atol=2e-5)
    at = np.array(LENGTHS)
    for step in range(7):
        keep = np.array([1 + (step + row) % AHEAD for row in range(3)])
        given = rng.integers(3, 61, (3, AHEAD))  # what is taken back was another token
        positions = np.full((3, AHEAD), -1)
        for row in range(3):
            kept = tokens[row, at[row] : at[row] + keep[row]]
            given[row, : len(kept)] = kept
            positions[row] = np.where(at[row] + np.arange(AHEAD) < TOTAL, at[row] + np.arange(AHEAD), -1)
        logits, cache = run(decoder, given, positions=positions, cache=cache)
        for row in range(3):
            stop = min(at[row] + keep[row], TOTAL)
            np.testing.assert_allclose(logits[row, : stop - at[row]], whole[row, at[row] : stop], atol=2e-5)
            at[row] = stop
    assert (at > 12).all()


@pytest.mark.parametrize("kind", KINDS)
def test_a_window_keeps_window_and_margin(kind):
    config = config_of(kind)
    cache = jax.eval_shape(lambda: KVCache.init(config, 2, 1000, jnp.bfloat16, ahead=AHEAD))
    ring = 4 + AHEAD - 1
    slots = {"unlimited": [1000] * 3, "window": [ring] * 3, "local and global": [ring, 1000, ring]}[kind]
    assert [k.shape for k in cache.k] == [(2, 2, 8, t) for t in slots]
    assert [v.shape for v in cache.v] == [(2, 2, t, 8) for t in slots]
    assert {x.dtype for x in (*cache.k, *cache.v)} == {jnp.dtype(jnp.bfloat16)}
    assert KVCache.init(config, 2, 5, ahead=AHEAD).k[0].shape[-1] == 5  # never more than the whole


def test_repeated_rows_go_on_as_their_own(decoder):
    tokens = np.random.default_rng(1).integers(3, 61, (2, 6))
    positions = np.broadcast_to(np.arange(6), (2, 6))
    _, cache = run(decoder, tokens, positions=positions, size=CacheSize(8, 1))
    wide = cache.repeated(2)
    new = np.array([[7], [8], [9], [7]])
    logits, _ = run(decoder, new, positions=np.full((4, 1), 6), cache=wide)
    for row, one in enumerate(new):
        alone = jax.tree.map(lambda x, r=row: x[r // 2 : r // 2 + 1], cache)
        wanted, _ = run(decoder, one[None], positions=np.full((1, 1), 6), cache=alone)
        np.testing.assert_allclose(logits[row], wanted[0], atol=2e-5)


def test_layers_taken_apart_score_the_same(decoder):
    graphdef, params = nnx.split(decoder)
    flat = {f"decoder/{name}": value for name, value in flatten(params).items()}
    given = dict(flat)
    apart = take_apart(given)
    assert not given
    assert {name for name, value in apart.items() if isinstance(value, Layerwise)} == {
        name for name in flat if name.startswith("decoder/layers/")
    }
    model = nnx.merge(graphdef, unflatten({name.removeprefix("decoder/"): value for name, value in apart.items()}))
    tokens, positions = jnp.ones((1, 5), int), jnp.arange(5)[None]
    made, _ = model(model.embed(tokens), positions=positions, cache=CacheSize(8, 1))
    wanted, _ = decoder(decoder.embed(tokens), positions=positions)
    np.testing.assert_allclose(made, wanted, atol=1e-5)
