"""Text as it is written, and the figures beside it."""

import dataclasses

import jax
import numpy as np
import pytest

from vlsm_jax.data.placeholders import Placeholders
from vlsm_jax.data.tokenizer import Tokenizer, train_bpe
from vlsm_jax.generation.decode import Generator
from vlsm_jax.generation.sampling import Sampling
from vlsm_jax.generation.speculation import Lookup
from vlsm_jax.generation.speed import Speed
from vlsm_jax.generation.streaming import Stream
from vlsm_jax.models import DecoderConfig, VlsmConfig
from vlsm_jax.sharding import make_mesh
from vlsm_jax.training.network import Network

PROMPTS = ["One source.", "Two queues of 20 items, then a sink."]
PLAIN = Placeholders("One source.", {})


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    return train_bpe([*PROMPTS, "Object.create();"], 300, tmp_path_factory.mktemp("tokenizer") / "bpe")


def test_pieces_are_whole_characters_and_add_up(tokenizer):
    text = "Über 中 \U0001f3ed;"
    ids = np.array([[*tokenizer.backend.encode(text, add_special_tokens=False).ids, tokenizer.eos_id]])
    assert ids.size > len(text)  # bytes apart
    pieces = []
    stream = Stream(tokenizer, lambda *piece: pieces.append(piece), [PLAIN], 1)
    for count in range(ids.size + 1):
        stream.show(ids, np.array([count]), np.array([count == ids.size]))
    assert "".join(piece for _, _, piece in pieces) == text
    assert all("\ufffd" not in piece and piece for _, _, piece in pieces)
    # What is broken to the end is shown in the end.
    broken = []
    stream = Stream(tokenizer, lambda *piece: broken.append(piece), [PLAIN] * 2, 1)
    rows, counts = np.array([ids[0, :1], ids[0, :1]]), np.array([1, 1])
    stream.show(rows, counts, np.array([False, True]))
    assert broken == [(1, 0, "\ufffd")]


@pytest.mark.parametrize("constrain", [False, True])
def test_what_is_told_is_what_is_returned(tokenizer, constrain):
    if constrain:
        pytest.importorskip("llguidance")
    decoder = DecoderConfig("llama", 320, 32, 1, 2, 1, 8, 48, init_std=0.3)
    network = Network.create(VlsmConfig(None, None, decoder, tokenizer.image_id))
    mesh = make_mesh(devices=jax.devices()[:1])
    generator = Generator(network, network.init(1), tokenizer, mesh=mesh, lookup=Lookup())
    told = {}
    made = generator.generate(
        [],
        PROMPTS,
        max_tokens=24,
        rows=3,  # a row that only fills the batch is not told of
        constrain=constrain,
        candidates=2,
        sampling=Sampling(),
        on_text=lambda prompt, candidate, piece: told.setdefault((prompt, candidate), []).append(piece),
    )
    assert set(told) == {(0, 0), (0, 1), (1, 0), (1, 1)}
    for (prompt, candidate), pieces in told.items():
        text = "".join(pieces)
        assert text == made[prompt][candidate].text or made[prompt][candidate].cut
        assert len(pieces) > 1
    speed = generator.speed
    assert speed.tokens == sum(c.tokens for several in made for c in several)
    assert 0 < speed.first_token_seconds < speed.seconds
    assert speed.compile_seconds > 0
    assert 0 <= speed.taken <= speed.drafted
    assert generator.total == speed


class _Writes(Tokenizer):
    """Reads every row of ids as one script, of which it shows a letter for each id."""

    def decode(self, ids):
        return 'obj.name = "@B"; Model.find("@A"); "@Ab"; "@'[: len(list(ids))]


def test_placeholders_become_names_again_as_they_are_told_and_at_the_end(tokenizer):
    known = dataclasses.replace(tokenizer, placeholders=True)
    known = _Writes(**{field.name: getattr(known, field.name) for field in dataclasses.fields(known)})
    decoder = DecoderConfig("llama", 320, 32, 1, 2, 1, 8, 48, init_std=0.3)
    network = Network.create(VlsmConfig(None, None, decoder, tokenizer.image_id))
    generator = Generator(network, network.init(1), known, mesh=make_mesh(devices=jax.devices()[:1]))
    told = {}
    prompts = ["Mixing Bowl feeds Oven.", "Connect 'Lane 1' to Lane 2."]
    made = generator.generate(
        [], prompts, max_tokens=60, on_text=lambda prompt, _, piece: told.setdefault(prompt, []).append(piece)
    )
    for number, (first, second) in enumerate([("Mixing Bowl", "Oven"), ("Lane 1", "Lane 2")]):
        whole = f'obj.name = "{second}"; Model.find("{first}"); "@Ab"; "@'
        length = made[number][0].tokens
        assert length > 44  # else less of it is shown
        assert made[number][0].text == "".join(told[number]) == whole


def test_speeds_add_up():
    one, other = Speed(10, 2.0, 0.5, 1, 4, 3, 1.0), Speed(30, 2.0, 1.5, 1, 0, 0, 0.0)
    both = one.plus(other)
    assert (both.tokens_per_second, both.time_to_first_token, both.acceptance) == (10.0, 1.0, 0.75)
    assert str(both) == "10 tokens/s, first token after 1.00 s, 75% of 4 drafted tokens taken"
    assert str(other) == "15 tokens/s, first token after 1.50 s"
    assert Speed().to_dict()["acceptance"] is None
