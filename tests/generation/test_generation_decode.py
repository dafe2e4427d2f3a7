import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from vlsm_jax.data.images import ImageError
from vlsm_jax.data.tokenizer import train_bpe
from vlsm_jax.generation.decode import Generator
from vlsm_jax.generation.loop import write
from vlsm_jax.generation.prompts import make_prompts
from vlsm_jax.models import ConnectorConfig, DecoderConfig, VisionConfig, VlsmConfig
from vlsm_jax.sharding import make_mesh
from vlsm_jax.training.network import Network

PROMPTS = ["One source.", "Two queues of 20 items, then a sink.", "A very long line " * 9]


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    return train_bpe([*PROMPTS, "Object.create();"], 300, tmp_path_factory.mktemp("tokenizer") / "bpe")


@pytest.fixture(scope="module", params=[None, 12], ids=["full", "window"])
def setup(request, tokenizer):
    vision = VisionConfig(width=16, layers=1, heads=2, mlp_width=32, patch_size=4, image_size=8)
    decoder = DecoderConfig(
        family="starcoder2" if request.param else "llama",
        vocabulary=320,
        width=32,
        layers=2,
        heads=4,
        kv_heads=2,
        head_dim=8,
        mlp_width=48,
        sliding_window=request.param,
        init_std=0.3,  # large enough that the next token depends on what came before
    )
    network = Network.create(VlsmConfig(vision, ConnectorConfig("mlp"), decoder, tokenizer.image_id))
    return network, network.init(1)


def pictures(count):
    return [np.random.default_rng(i).integers(0, 256, (8, 8, 3)).astype(np.uint8) for i in range(count)]


def greedy(model, prompts, new_tokens, eos_id, vocabulary):
    return write(model, prompts, new_tokens=new_tokens, eos_id=eos_id, vocabulary=vocabulary)


def slow_greedy(network, params, tokenizer, prompt, picture, count):
    """The definition: score the whole sequence anew for every token, without a cache and without a batch."""
    vision, width = network.config.vision.tokens, 256
    place = np.arange(width)

    @jax.jit
    def scores_after(tokens, length):
        model = network.merge(params)
        hidden, _ = model(
            tokens[None],
            visual=model.encode_images(jnp.asarray(picture[None])),
            visual_index=jnp.asarray([np.where(place < vision, place, -1)]),
            positions=jnp.where(place < length, place, -1)[None],
        )
        return model.logits(hidden[:, length - 1])[0]

    ids = [tokenizer.image_id] * vision + tokenizer.encode_prompt(prompt)
    out = []
    while len(out) < count and tokenizer.eos_id not in out:
        scores = np.array(scores_after(np.array(ids + [0] * (width - len(ids))), len(ids)))
        scores[tokenizer.size :] = -np.inf
        out.append(int(scores.argmax()))
        ids.append(out[-1])
    return out


def test_cached_decoding_is_greedy_decoding(setup, tokenizer):
    network, params = setup
    batch = make_prompts(tokenizer, PROMPTS, pictures(3), network.config.vision.tokens)
    made = jax.jit(lambda p, b: greedy(network.merge(p), b, 20, tokenizer.eos_id, tokenizer.size))(params, batch)
    for i, prompt in enumerate(PROMPTS):
        wanted = slow_greedy(network, params, tokenizer, prompt, pictures(3)[i], 20)
        assert list(made.tokens[i, : made.lengths[i]]) == wanted
    assert len({tuple(row) for row in np.asarray(made.tokens)}) == 3  # prompts and pictures matter


def test_rows_end_on_their_own(setup, tokenizer):
    """Any token may be named the end: then rows end where it first comes, and the others go on as before."""
    network, params = setup
    batch = make_prompts(tokenizer, PROMPTS, pictures(3), network.config.vision.tokens)
    model = network.merge(params)
    free = np.asarray(greedy(model, batch, 12, -1, tokenizer.size).tokens)
    end = int(free[0, 5])
    made = greedy(model, batch, 12, end, tokenizer.size)
    for row, tokens, length in zip(free, np.asarray(made.tokens), made.lengths, strict=True):
        stops = np.flatnonzero(row == end)
        count = stops[0] + 1 if len(stops) else 12
        assert length == count
        np.testing.assert_array_equal(tokens[:count], row[:count])
        assert (tokens[count:] == end).all()


def test_padding_rows_of_the_embedding_are_never_chosen(setup, tokenizer):
    network, params = setup
    batch = make_prompts(tokenizer, PROMPTS, pictures(3), network.config.vision.tokens)
    made = greedy(network.merge(params), batch, 8, tokenizer.eos_id, 10)
    assert (made.tokens < 10).all()


def test_a_short_batch_gives_what_a_full_one_does(setup, tokenizer, tmp_path):
    network, params = setup
    paths = []
    for i, picture in enumerate(pictures(3)):
        paths.append(tmp_path / f"{i}.png")
        Image.fromarray(picture).save(paths[-1])
    generator = Generator(network, params, tokenizer, mesh=make_mesh(devices=jax.devices()[:1]))
    together = generator.generate(paths, PROMPTS, max_tokens=8, rows=4)
    apart = [generator.generate([path], [text], max_tokens=8)[0] for path, text in zip(paths, PROMPTS, strict=True)]
    assert [c.text for (c,) in together] == [c.text for (c,) in apart]
    assert all(c.tokens <= 8 and c.ended == (c.tokens < 8) for (c,) in together if not c.ended or c.tokens < 8)


def test_bad_input_is_named(setup, tokenizer, tmp_path):
    network, params = setup
    generator = Generator(network, params, tokenizer, mesh=make_mesh(devices=jax.devices()[:1]))
    with pytest.raises(ImageError, match=r"no image at .*none\.png"):
        generator.generate([tmp_path / "none.png"], ["text"], max_tokens=4)
    with pytest.raises(ValueError, match="prompt 0 is empty"):
        make_prompts(tokenizer, [" "], pictures(1), 5)
