"""Sampling: the distribution against transformers', draws that hang on seed and sample alone, several candidates."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from transformers.generation.logits_process import MinPLogitsWarper, TemperatureLogitsWarper, TopPLogitsWarper

from vlsm_jax.data.tokenizer import train_bpe
from vlsm_jax.generation.decode import Generator
from vlsm_jax.generation.loop import write
from vlsm_jax.generation.prompts import make_prompts
from vlsm_jax.generation.sampling import GREEDY, Draws, Sampling, choose, log_probability, reshape_scores
from vlsm_jax.models import DecoderConfig, VlsmConfig
from vlsm_jax.sharding import make_mesh
from vlsm_jax.training.network import Network

PROMPTS = ["One source.", "Two queues of 20 items, then a sink.", "A very long line " * 9]


@pytest.mark.parametrize(
    "settings", [(0.7, 1.0, 0.0), (1.0, 0.8, 0.0), (1.5, 1.0, 0.1), (0.9, 0.95, 0.05), (1, 1e-9, 1)]
)
def test_the_distribution_is_that_of_transformers(settings):
    temperature, top_p, min_p = settings
    scores = np.random.default_rng(0).normal(0, 3, (5, 200)).astype(np.float32)
    scores[1, 7] = -np.inf
    theirs = TemperatureLogitsWarper(float(temperature))(None, torch.from_numpy(scores))
    for kind, value in ((TopPLogitsWarper, top_p), (MinPLogitsWarper, min_p)):
        theirs = kind(float(value))(None, theirs)
    ours = np.asarray(reshape_scores(jnp.asarray(scores), Sampling(temperature, top_p, min_p)))
    np.testing.assert_allclose(ours, theirs.numpy(), rtol=1e-6)
    assert np.isfinite(ours).any(axis=1).all()


def test_frequencies_are_probabilities():
    scores = jnp.log(jnp.array([0.5, 0.3, 0.2, 1e-3]))
    draws = Draws.create(3, jnp.arange(20_000, dtype=jnp.uint32), 1)
    tokens = choose(jnp.tile(scores, (20_000, 1)), Sampling(temperature=1.0, min_p=0.1), draws, jnp.full(20_000, 4))
    np.testing.assert_allclose(np.bincount(tokens, minlength=4) / 20_000, [0.5, 0.3, 0.2, 0], atol=0.015)
    logarithms = log_probability(jnp.tile(scores, (20_000, 1)), tokens)
    np.testing.assert_allclose(jnp.exp(logarithms[:50]), np.array([0.5, 0.3, 0.2])[tokens[:50]] / 1.001, rtol=1e-5)


@pytest.mark.parametrize(
    "wrong", [{"temperature": -1}, {"temperature": float("nan")}, {"top_p": 0}, {"top_p": 1.1}, {"min_p": -0.1}]
)
def test_a_value_out_of_range_is_named(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Sampling(**wrong)


@pytest.fixture(scope="module")
def generator(tmp_path_factory):
    tokenizer = train_bpe([*PROMPTS, "Object.create();"], 300, tmp_path_factory.mktemp("tokenizer") / "bpe")
    decoder = DecoderConfig("llama", 320, 32, 2, 4, 2, 8, 48, init_std=0.2)
    network = Network.create(VlsmConfig(None, None, decoder, tokenizer.image_id))
    return Generator(network, network.init(1), tokenizer, mesh=make_mesh(devices=jax.devices()[:1]))


def test_candidates_hang_on_seed_and_prompt_alone(generator):
    def texts_of(prompts, **options):
        options = {"candidates": 3, "sampling": Sampling(), "seed": 5} | options
        made = generator.generate([], prompts, max_tokens=12, **options)
        return [[c.text for c in candidates] for candidates in made]

    together = texts_of(PROMPTS)
    assert [texts_of([prompt])[0] for prompt in reversed(PROMPTS)] == together[::-1]
    assert [texts[:2] for texts in together] == texts_of(PROMPTS, candidates=2)
    greedy = texts_of(PROMPTS, candidates=1, sampling=GREEDY)
    assert [[texts[0]] for texts in together] == greedy
    other = texts_of(PROMPTS, seed=6)
    assert [texts[0] for texts in other] == [texts[0] for texts in together]
    assert all(a[1:] != b[1:] for a, b in zip(other, together, strict=True))
    lone = texts_of(PROMPTS, candidates=1)
    assert lone != greedy  # a lone candidate is drawn where a sampling is asked for
    # The same noise for all would let prompts that say the same draw the same.
    drawn = generator.generate([], ["a b", "a b."], max_tokens=12, sampling=Sampling(temperature=50.0, min_p=0.0))
    assert drawn[0][0].text != drawn[1][0].text


def test_the_log_probability_is_the_models_own(generator):
    """Whatever temperature drew: the whole sequence scored anew at once gives the same."""
    network, tokenizer = generator._network, generator._tokenizer
    model = network.merge(network.init(1))
    batch = make_prompts(tokenizer, PROMPTS[:1], [np.zeros(0, np.uint8)], 0)
    limits = {"new_tokens": 10, "eos_id": tokenizer.eos_id, "vocabulary": tokenizer.size}
    made = jax.jit(lambda p: write(model, p, **limits, candidates=2, sampling=Sampling(3.0)))(batch)
    prompt = tokenizer.encode_prompt(PROMPTS[0])
    for tokens, length, total in zip(*made[:3], strict=True):
        ids = jnp.array([[*prompt, *tokens[:length]]])
        positions = jnp.arange(ids.shape[1])[None]
        hidden, _ = model(ids, visual=None, visual_index=jnp.full(ids.shape, -1), positions=positions)
        scores = jax.nn.log_softmax(model.logits(hidden)[0, len(prompt) - 1 : -1, : tokenizer.size])
        assert total == pytest.approx(float(sum(scores[np.arange(length), tokens[:length]])), abs=1e-4)
    assert made.log_probabilities[0] > made.log_probabilities[1]


def test_candidates_that_would_be_the_same_are_refused(generator):
    with pytest.raises(ValueError, match="4 greedy candidates would be the same"):
        generator.generate([], PROMPTS, max_tokens=4, candidates=4)
    with pytest.raises(ValueError, match="candidates=0"):
        generator.generate([], PROMPTS, max_tokens=4, candidates=0)
