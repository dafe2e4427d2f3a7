"""The grammar constraint: its language against the parser's, its bits, and decoding under it."""

import importlib.util
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vlsm_jax.data.tokenizer import load_tokenizer, train_bpe
from vlsm_jax.flexscript import parse
from vlsm_jax.generation import constraint as constraint_module
from vlsm_jax.generation.constrained import ConstrainedDecoder, allowed
from vlsm_jax.generation.constraint import Constraint, ConstraintError
from vlsm_jax.generation.decode import Candidate, Generator, within_grammar
from vlsm_jax.generation.loop import Limits, begin, finish, go_on
from vlsm_jax.generation.prompts import make_prompts
from vlsm_jax.generation.sampling import GREEDY, Sampling
from vlsm_jax.generation.speculation import Lookup
from vlsm_jax.models import DecoderConfig, VlsmConfig
from vlsm_jax.sharding import make_mesh
from vlsm_jax.training.network import Network

pytest.importorskip("llguidance")

PROMPTS = ["One source.", "Two queues of 20 items, then a sink."]
SCRIPT = 'Object queue1 = Object.create("Queue");\nfor (int i = 1; i <= 9; i++) { queue1.setLocation(i, -2.5, 0); }\n'
SHARED = Path(__file__).parents[3] / "shared" / "data" / "tokenizers"


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    return train_bpe([*PROMPTS, SCRIPT], 300, tmp_path_factory.mktemp("tokenizer") / "bpe")


@pytest.fixture(scope="module")
def constraint(tokenizer):
    return Constraint(tokenizer)


@pytest.fixture(scope="module")
def network(tokenizer):
    decoder = DecoderConfig(
        family="llama", vocabulary=352, width=32, layers=2, heads=4, kv_heads=2, head_dim=8, mlp_width=48, init_std=0.3
    )
    return Network.create(VlsmConfig(None, None, decoder, tokenizer.image_id))


def next_tokens(scripts, row=0):
    """The ids that may come next."""
    if scripts.done[row]:
        return np.array([])
    scripts.fill(row)
    return np.flatnonzero(np.unpackbits(scripts.bits[row].view(np.uint8), bitorder="little"))


# --- Bits -------------------------------------------------------------------------------------------------------------


def test_end_of_text_may_come_only_where_the_script_is_complete(constraint, tokenizer):
    scripts = constraint.scripts(1)
    assert tokenizer.eos_id not in next_tokens(scripts)  # an empty script is none
    ids = tokenizer.encode_response(SCRIPT)[:-1]
    for i, token in enumerate(ids):
        assert token in next_tokens(scripts)
        assert scripts.take(0, [token]) == 1
        assert (tokenizer.eos_id in next_tokens(scripts)) == parse(tokenizer.decode(ids[: i + 1])).ok
    assert scripts.take(0, [tokenizer.eos_id]) == 1
    assert scripts.done.all()


def test_other_special_tokens_never_come(constraint, tokenizer):
    scripts = constraint.scripts(1)
    for token in tokenizer.encode_response(SCRIPT)[:-1]:
        assert not {tokenizer.pad_id, tokenizer.image_id} & set(next_tokens(scripts))
        assert scripts.take(0, [token]) == 1


def test_rows_are_followed_apart(constraint, tokenizer):
    long, short = tokenizer.encode_response(SCRIPT), tokenizer.encode_response("x;")
    both = constraint.scripts(2)
    for i, token in enumerate(long):
        assert both.take(0, [token]) == 1
        assert both.done[1] or both.take(1, [short[i]]) == 1
        assert list(both.done) == [i >= len(long) - 1, i >= len(short) - 1]


def test_a_token_is_taken_where_it_has_a_bit_and_nowhere_else(constraint, tokenizer):
    """The two ways to ask agree, and a token that is refused leaves no trace."""
    scripts, every = constraint.scripts(1), range(tokenizer.size)
    for token in tokenizer.encode_response(SCRIPT)[:-1]:
        may = set(next_tokens(scripts)) - {tokenizer.eos_id}
        refused = [t for t in every if t not in may and t != tokenizer.eos_id]
        assert not any(scripts.take(0, [t]) for t in refused)
        assert scripts.take(0, [token]) == 1


def test_tokens_are_taken_up_to_the_first_that_may_not_come(constraint, tokenizer):
    ids, wrong = tokenizer.encode_response(SCRIPT), tokenizer.encode_response(")")[0]
    scripts = constraint.scripts(4)
    assert scripts.take(0, ids) == len(ids)
    assert scripts.take(1, [*ids[:2], wrong, *ids[2:]]) == 2
    assert scripts.take(1, ids[2:]) == len(ids) - 2
    assert scripts.take(2, [*ids[:3], tokenizer.eos_id]) == 3  # amid a statement
    assert scripts.take(3, [wrong, tokenizer.eos_id]) == 0
    assert list(scripts.done) == [True, True, False, False]


def test_bits_spread_over_the_vocabulary():
    bits = np.array([[1 | 1 << 31, 2], [-1, 0]], np.int64).astype(np.uint32).view(np.int32)
    spread = np.asarray(allowed(bits, 70))
    assert [list(np.flatnonzero(row)) for row in spread] == [[0, 31, 33], list(range(32))]
    assert np.asarray(allowed(bits, 20)).shape == (2, 20)


@pytest.mark.parametrize("name", ["starcoder2", "tinyllama"])
def test_tokenizers_of_others(name):
    if not (SHARED / name).is_dir():
        pytest.skip(f"no tokenizer of {name} here")
    tokenizer = load_tokenizer(SHARED / name)
    constraint = Constraint(tokenizer)
    script = SCRIPT + 'string name = "Übergabe \u4e2d";\n'
    ids = tokenizer.encode_response(script)
    scripts = constraint.scripts(1)
    for token in ids:
        assert token in next_tokens(scripts)
        assert scripts.take(0, [token]) == 1
    assert scripts.done.all()
    assert not constraint.accepts(ids[:3])
    # Written freely, with tokens of any kind, what ends is a script by the text that the tokenizer makes of it.
    rng = np.random.default_rng(0)
    for _ in range(3):
        text, ended = write_freely(constraint, rng, limit=150)
        assert parse(text).ok or not ended


# --- Decoding ---------------------------------------------------------------------------------------------------------


def limits(tokenizer, new_tokens, **options):
    return Limits(new_tokens, tokenizer.eos_id, tokenizer.size, **options)


class Dictated:
    """A network whose model wants to write certain tokens, from a position on."""

    def __init__(self, network, start, tokens):
        self._network, self._start, self._tokens = network, start, jnp.array([*tokens, 0])

    def merge(self, params):
        outer, model = self, self._network.merge(params)

        class Model:
            vision, config = model.vision, model.config

            def __call__(self, tokens, *, positions, **others):
                hidden, cache = model(tokens, positions=positions, **others)
                number = jnp.clip(positions + 1 - outer._start, 0, len(outer._tokens) - 1)
                return jnp.concatenate([hidden, outer._tokens[number][..., None].astype(hidden.dtype)], axis=-1), cache

            def logits(self, hidden):
                scores = model.logits(hidden[..., :-1])
                return scores + 50 * jax.nn.one_hot(hidden[..., -1].astype(int), scores.shape[-1])

        return Model()


def slow_constrained(network, params, constraint, prompt, count):
    """The definition: the whole sequence scored anew for each token, the best taken of those that may come."""
    tokenizer, width = constraint.tokenizer, 192
    place = np.arange(width)

    @jax.jit
    def scores_after(tokens, length):
        model = network.merge(params)
        positions = jnp.where(place < length, place, -1)[None]
        hidden, _ = model(tokens[None], visual=None, visual_index=jnp.full((1, width), -1), positions=positions)
        return model.logits(hidden[:, length - 1])[0]

    ids = tokenizer.encode_prompt(prompt)
    out, scripts = [], constraint.scripts(1)
    while len(out) < count and not scripts.done.all():
        scores = np.asarray(scores_after(np.array(ids + [0] * (width - len(ids))), len(ids)))
        may = next_tokens(scripts)
        out.append(int(may[scores[may].argmax()]))
        ids.append(out[-1])
        assert scripts.take(0, [out[-1]]) == 1
    return out


def test_constrained_decoding_is_greedy_within_the_grammar(network, constraint, tokenizer):
    params = network.init(3)
    batch = make_prompts(tokenizer, PROMPTS, [np.zeros(0, np.uint8)] * 2, 0)
    made = ConstrainedDecoder(network, constraint).decode(params, batch, limits(tokenizer, 40))
    for i, prompt in enumerate(PROMPTS):
        assert list(made.tokens[i, : made.lengths[i]]) == slow_constrained(network, params, constraint, prompt, 40)


@pytest.mark.parametrize("sampling", [GREEDY, Sampling(0.5)], ids=["greedy", "drawn"])
def test_drafts_change_nothing_under_the_constraint(network, constraint, tokenizer, sampling):
    params = network.init(3)
    batch = make_prompts(tokenizer, PROMPTS, [np.zeros(0, np.uint8)] * 2, 0)
    decoder = ConstrainedDecoder(network, constraint)
    plain, drafted = (
        decoder.decode(params, batch, limits(tokenizer, 60, sampling=sampling, lookup=lookup), seed=4)
        for lookup in (None, Lookup(3, least=1))
    )
    np.testing.assert_array_equal(plain.tokens, drafted.tokens)
    np.testing.assert_array_equal(plain.lengths, drafted.lengths)
    np.testing.assert_allclose(plain.log_probabilities, drafted.log_probabilities, rtol=1e-3)
    assert 0 < drafted.taken.sum() <= drafted.drafted.sum()


def test_where_the_model_keeps_to_the_grammar_the_constraint_changes_nothing(network, constraint, tokenizer):
    """No bits are filled, and tokens, draws and log-probabilities are those of decoding without it."""
    params, script = network.init(3), tokenizer.encode_response(SCRIPT)[:8]
    batch = make_prompts(tokenizer, PROMPTS[:1], [np.zeros(0, np.uint8)], 0)
    dictated = Dictated(network, len(tokenizer.encode_prompt(PROMPTS[0])), script)
    settings = limits(tokenizer, len(script), sampling=Sampling(0.7))
    decoder = ConstrainedDecoder(dictated, constraint)
    made = decoder.decode(params, batch, settings, seed=4)

    @jax.jit
    def free(params):
        model = dictated.merge(params)
        return finish(go_on(model, begin(model, batch, 4, settings), 99, settings), settings)

    assert made.tokens[0].tolist() == script
    assert decoder.timing.fillings == 0
    for ours, wanted in zip(made, free(params), strict=True):
        np.testing.assert_allclose(ours, wanted, rtol=1e-4)


def test_draws_keep_to_the_grammar_and_to_the_seed(network, constraint, tokenizer):
    params = network.init(3)
    batch = make_prompts(tokenizer, PROMPTS[:1], [np.zeros(0, np.uint8)], 0)
    decoder, hot = ConstrainedDecoder(network, constraint), Sampling(temperature=3, min_p=0)
    several = limits(tokenizer, 60, candidates=4, sampling=hot)
    one, again, other = (decoder.decode(params, batch, several, seed=k) for k in (1, 1, 2))
    np.testing.assert_array_equal(one.tokens, again.tokens)
    assert (one.tokens[1:] != other.tokens[1:]).any()
    assert len({tuple(row) for row in one.tokens}) == 4
    greedy = decoder.decode(params, batch, limits(tokenizer, 60))
    np.testing.assert_array_equal(one.tokens[0], greedy.tokens[0])  # the first of several is greedy
    assert (one.log_probabilities < 0).all()


def test_an_untrained_model_writes_scripts_that_parse(network, tokenizer):
    generator = Generator(network, network.init(3), tokenizer, mesh=make_mesh(devices=jax.devices()[:1]))
    made = generator.generate([], [f"Factory {i}." for i in range(24)], max_tokens=48, constrain=True)
    assert all(c.constrained and parse(c.text).ok for (c,) in made)
    free = generator.generate([], PROMPTS, max_tokens=48)
    assert not any(c.constrained or c.cut or parse(c.text).ok for (c,) in free)


def test_what_the_limit_cut_is_closed_and_said():
    script = 'Object a = x;\nfor (int i = 1; i < 3; i++) {\n  a.f(i);\n  if (i) { g("wor'
    made = within_grammar(Candidate(script, 40, ended=False))
    assert made.text == "Object a = x;\nfor (int i = 1; i < 3; i++) {\n  a.f(i);\n  if (i) {\n}}\n"
    assert (made.cut, made.ended) == (True, False)
    assert within_grammar(Candidate("a;", 2, ended=False)) == Candidate("a;", 2, False, constrained=True, cut=False)
    assert within_grammar(Candidate("a", 1, ended=False)).text == ""


def test_without_the_package_constraint_says_what_to_install(monkeypatch, network, tokenizer):
    real = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *a: None if name == "llguidance" else real(name, *a))
    assert not constraint_module.available()
    generator = Generator(network, network.init(3), tokenizer, mesh=make_mesh(devices=jax.devices()[:1]))
    with pytest.raises(ConstraintError, match=r'pip install "vlsm_jax\[constrain\]"'):
        generator.generate([], PROMPTS, max_tokens=4, constrain=True)


def write_freely(constraint, rng, limit, wanted=b")]}\";'/:"):
    """Draws tokens that may come, those that close something more often; returns the text and whether it ended."""
    scripts, out = constraint.scripts(1), []
    backend = constraint.tokenizer.backend
    closing = {backend.token_to_id(chr(sign)) for sign in wanted}
    for i in range(limit):
        may = next_tokens(scripts)
        assert len(may), constraint.tokenizer.decode(out)
        if constraint.tokenizer.eos_id in may and rng.random() < 0.1:
            return constraint.tokenizer.decode(out), True
        closers = [token for token in may if token in closing]
        use = closers if closers and rng.random() < min(0.9, i / limit) else may
        out.append(int(rng.choice(use)))
        if out[-1] == constraint.tokenizer.eos_id:
            return constraint.tokenizer.decode(out), True
        assert scripts.take(0, [out[-1]]) == 1
    return constraint.tokenizer.decode(out), False
