"""Whole generations of tiny random checkpoints of each backbone: those of transformers, with and without drafts."""

import functools

import jax
import numpy as np
import pytest
import torch
from flax import nnx
from transformers import (
    Gemma3ForCausalLM,
    Gemma3TextConfig,
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    Starcoder2Config,
    Starcoder2ForCausalLM,
)

from convert.huggingface import read_hf_decoder
from vlsm_jax.generation.loop import write
from vlsm_jax.generation.prompts import Prompts
from vlsm_jax.generation.sampling import Sampling
from vlsm_jax.generation.speculation import Lookup
from vlsm_jax.models import Vlsm, VlsmConfig

SIZES = {
    "vocab_size": 61,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "pad_token_id": 0,
    "initializer_range": 0.2,
}
LLAMA3 = {
    "rope_type": "llama3",
    "rope_theta": 1e4,
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 32,
}
MODELS = {
    "llama": lambda: LlamaForCausalLM(LlamaConfig(**SIZES)),
    "llama 3.1": lambda: LlamaForCausalLM(LlamaConfig(**SIZES, tie_word_embeddings=True, rope_parameters=LLAMA3)),
    "mistral": lambda: MistralForCausalLM(MistralConfig(**SIZES, head_dim=16, sliding_window=6)),
    "starcoder2": lambda: Starcoder2ForCausalLM(Starcoder2Config(**SIZES, sliding_window=6, tie_word_embeddings=False)),
    "gemma3": lambda: Gemma3ForCausalLM(
        Gemma3TextConfig(
            **SIZES,
            head_dim=16,
            sliding_window=6,
            layer_types=["sliding_attention", "full_attention"],
            query_pre_attn_scalar=12,
        )
    ),
}
# Longer than a window, and shorter; the last repeats itself, so that there is something to look up.
PROMPTS = [[5, 9, 33], [7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20], [40, 41, 42, 43] * 3]
NEW = 40
LOOKUP = Lookup(4, least=1)


@pytest.fixture(scope="module", params=MODELS)
def pair(request, tmp_path_factory):
    """A transformers model, and a function that writes with its weights."""
    torch.manual_seed(0)
    theirs = MODELS[request.param]().eval()
    directory = tmp_path_factory.mktemp("decoder")
    theirs.save_pretrained(directory)
    config, params = read_hf_decoder(directory)
    vlsm = VlsmConfig(None, None, config, image_token_id=61)
    model = nnx.eval_shape(lambda: Vlsm(vlsm, rngs=nnx.Rngs(0)))
    nnx.update(model.decoder, params)
    width = 16
    tokens = np.array([row + [0] * (width - len(row)) for row in PROMPTS], np.int32)
    positions = np.where(np.arange(width) < np.array([[len(row)] for row in PROMPTS]), np.arange(width), -1)
    batch = Prompts(
        tokens, positions.astype(np.int32), np.full(tokens.shape, -1), np.zeros((3, 0), np.uint8), np.arange(3)
    )

    @functools.partial(jax.jit, static_argnames=("sampling", "lookup", "candidates"))
    def run(batch, **options):
        return write(model, batch, new_tokens=NEW, eos_id=2, vocabulary=61, seed=1, **options)

    return theirs, batch, run


def written(made):
    return [row[:length].tolist() for row, length in zip(np.asarray(made.tokens), made.lengths, strict=True)]


def test_greedy_decoding_is_that_of_transformers(pair):
    theirs, batch, run = pair
    ours = written(run(batch))
    for prompt, row in zip(PROMPTS, ours, strict=True):
        wanted = theirs.generate(
            torch.tensor([prompt]), attention_mask=torch.ones(1, len(prompt)), max_new_tokens=NEW, do_sample=False
        )
        assert row == wanted[0, len(prompt) :].tolist()
    assert len({tuple(row) for row in ours}) == 3


@pytest.mark.parametrize("sampling", [None, Sampling(0.4)], ids=["greedy", "drawn"])
def test_drafts_change_nothing(pair, sampling):
    """Greedy tokens, drawn ones, ends and log-probabilities; and drafts do spare steps."""
    _, batch, run = pair
    options = {} if sampling is None else {"sampling": sampling, "candidates": 2}
    plain, drafted = run(batch, **options), run(batch, **options, lookup=LOOKUP)
    assert written(drafted) == written(plain)
    np.testing.assert_allclose(drafted.log_probabilities, plain.log_probabilities, atol=1e-3)
    assert not plain.drafted.any()
    assert (drafted.taken <= drafted.drafted).all()
    assert drafted.taken.sum() > 0


def test_batch_and_single_write_the_same(pair):
    _, batch, run = pair
    together = written(run(batch, lookup=LOOKUP))
    for i in range(3):
        assert written(run(Prompts(*(x[i : i + 1] for x in batch)), lookup=LOOKUP)) == together[i : i + 1]
