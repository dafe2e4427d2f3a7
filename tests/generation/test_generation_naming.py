"""Names under the constraint: what may be written where an object is named or looked for."""

import jax
import numpy as np
import pytest

from vlsm_jax.data.tokenizer import train_bpe
from vlsm_jax.flexscript import parse
from vlsm_jax.generation.constraint import Constraint
from vlsm_jax.generation.decode import Generator
from vlsm_jax.generation.naming import Naming
from vlsm_jax.generation.sampling import Sampling
from vlsm_jax.models import DecoderConfig, VlsmConfig
from vlsm_jax.repair import Statement
from vlsm_jax.sharding import make_mesh
from vlsm_jax.synth.splits import Split
from vlsm_jax.synth.triplets import TripletOptions, make_triplets
from vlsm_jax.training.network import Network

NAMES = ["Press 1", "Press 2", "Press Out", "Oven", 'The "best"', "Ofen für Löcher"]
SCRIPT = """// obj.name = "Nothing";
Object obj = Object.create("Source"); /* "a" * / "b" */
obj.name = "Press 2";
obj.setProperty("ProcessTime", "return Model.find(\\"Oven\\")");
setname(other, "Oven");
contextdragconnection(Model.find("Oven"), model().find("Press 2"), "A");
"""
SERIES = (
    SCRIPT + 'for (int i = 1; i <= 2; i++) { obj.name = "Press " + i; Model.find("Press Out").setLocation(i, 0, 0); }\n'
)


def after(script, names=NAMES):
    return Naming.of_names(names).after(script.encode())


def test_a_script_that_keeps_to_the_names_may_be_written():
    state = after(SCRIPT)
    assert state.given == {b"Press 2", b"Oven"}
    assert not state.computed


@pytest.mark.parametrize(
    ("script", "more"),
    [
        ("", 'a.name = "Pressure"'),  # nobody's
        ("", 'a.name = ""'),
        ("", 'a.name = "Pres"'),  # no number lacks
        ("", 'setname(a, "Mill")'),
        ("", 'b.name="press 1"'),
        (SCRIPT, 'b.name = "Oven"'),  # given to another
        (SCRIPT, 'Model.find("Press 1")'),  # given to nobody
        (SCRIPT, 'Model.find( "Oven2")'),
        (SCRIPT, 'a.name = "Press \\\\1"'),
        (SCRIPT, 'a.name = "Press ";'),  # and no number put to it
        (SCRIPT, 'Model.find("Press ")'),
    ],
)
def test_other_names_may_not_come(script, more):
    state = after(script)
    assert state is not None
    assert state.after(more.encode()) is None


@pytest.mark.parametrize(
    "more",
    [
        'a.name = "Press 1"; Model.find("Press 1").setLocation(1, 2, 3);',
        'a.name = "Ofen für Löcher";',
        'if (a.name == "Mill") { string b = "anything"; }',
        'a.setProperty("name", "Mill"); print("Model.find(\\"Mill\\")");',
        'library().find("?Processor"); createinstance(library().find("?Queue"), model());',
        'Model.find("Tools/GlobalTables/Times").value = 1;',
        'if (c == \'"\') a.name = "Press 1";',
        'a.name = names[i]; Model.find("Press Out");',  # which were given, nobody knows
        'a.name = "Press " + i; Model.find("Press 1"); Model.find("Press " + i);',
        'setname(a, list[2]); Model.find("Press Out");',
    ],
)
def test_what_else_a_script_may_say(more):
    state = after(SCRIPT)
    assert state.after(more.encode()) is not None


def test_without_a_name_that_is_left_anything_may_come():
    assert after('a.name = "Oven"; b.name = "Mill"; Model.find("Mill");', ["Oven"]) is not None
    assert after('a.name = "Mill"; Model.find("Mill");', []) is not None
    assert after('Model.find("Mill");') is not None


def test_states_do_not_depend_on_how_a_script_is_cut():
    text = SCRIPT.encode()
    whole, cuts = after(SCRIPT), np.random.default_rng(0).integers(0, len(text), (20, 2))
    for one, two in np.sort(cuts, axis=1):
        state = Naming.of_names(NAMES)
        for piece in (text[:one], text[one:two], text[two:]):
            state = state.after(piece)
        assert state == whole


def test_next_bytes_are_those_that_may_come():
    state, seen = Naming.of_names(NAMES), 0
    for byte in SERIES.encode():
        may = state.next_bytes
        if may is not None:
            assert may == {b for b in range(256) if state.after(bytes([b])) is not None}
            seen += 1
        state = state.after(bytes([byte]))
    assert seen > 30


@pytest.mark.parametrize("split", [Split.IID, Split.INDUSTRY])
def test_right_scripts_of_every_style_may_be_written(split):
    options = TripletOptions(open_names=0.5)
    triplets = list(make_triplets(11, range(60), options, split))
    styles = {triplet.script_style for triplet in triplets}
    assert len(styles) == 7
    for triplet in triplets:
        state = Naming.of_names(Statement(triplet.prompt.text).phrases).after(triplet.response.encode())
        assert state is not None, (triplet.prompt.text, triplet.response)


# --- Tokens -----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    return train_bpe([SCRIPT, " ".join(NAMES)] * 3, 420, tmp_path_factory.mktemp("tokenizer") / "bpe")


@pytest.fixture(scope="module")
def constraint(tokenizer):
    pytest.importorskip("llguidance")
    return Constraint(tokenizer)


def may_come(scripts, row=0):
    scripts.fill(row)
    return set(np.flatnonzero(np.unpackbits(scripts.bits[row].view(np.uint8), bitorder="little")).tolist())


def test_a_token_has_a_bit_where_grammar_and_names_allow_it(constraint, tokenizer):
    named, free = constraint.scripts(1, [NAMES]), constraint.scripts(1)
    state, fewer = Naming.of_names(NAMES), 0
    for token in tokenizer.encode_response(SERIES)[:-1]:
        allowed = may_come(free)
        spelt = {t: constraint.spelt(t) for t in allowed - {tokenizer.eos_id}}
        wanted = {t for t, piece in spelt.items() if state.after(piece) is not None}
        if state.next_bytes is None:
            wanted |= allowed & {tokenizer.eos_id}
        assert may_come(named) == wanted
        fewer += wanted != allowed
        assert named.take(0, [token]) == free.take(0, [token]) == 1
        state = state.after(constraint.spelt(token))
    assert fewer > 10
    assert named.take(0, [tokenizer.eos_id]) == 1


def test_tokens_are_taken_up_to_the_name_that_may_not_come(constraint, tokenizer):
    wrong = SCRIPT.replace('Model.find("Oven"), ', 'Model.find("Press Out"), ')
    ids = tokenizer.encode_response(wrong)[:-1]
    scripts = constraint.scripts(2, [NAMES, [*NAMES, "x"]])
    taken = scripts.take(0, ids)
    written = tokenizer.decode(ids[:taken])
    assert wrong.startswith(written)
    assert wrong.index("Model.find(") < len(written) <= wrong.index("Out")
    begun = written[written.rindex('"') + 1 :].encode()
    goes_on = {(begun + constraint.spelt(token)).split(b'"')[0] for token in may_come(scripts)}
    assert b"Press 2" in goes_on
    assert all(b"Press 2".startswith(text) for text in goes_on)
    assert scripts.take(1, tokenizer.encode_response(SCRIPT)) == len(tokenizer.encode_response(SCRIPT))
    assert scripts.done.tolist() == [False, True]


@pytest.fixture(scope="module")
def generator(tokenizer):
    decoder = DecoderConfig(
        family="llama", vocabulary=448, width=32, layers=2, heads=4, kv_heads=2, head_dim=8, mlp_width=48, init_std=0.3
    )
    network = Network.create(VlsmConfig(None, None, decoder, tokenizer.image_id))
    return Generator(network, network.init(3), tokenizer, mesh=make_mesh(devices=jax.devices()[:1]))


def test_every_candidate_has_the_names_of_its_prompt(generator, constraint, monkeypatch):
    asked = []
    scripts = Constraint.scripts
    monkeypatch.setattr(
        Constraint, "scripts", lambda self, rows, names: asked.append(names) or scripts(self, rows, names)
    )
    made = generator.generate(
        [],
        ["One.", "Two."],
        max_tokens=8,
        rows=3,
        constrain=True,
        names=[["A"], ["B"]],
        candidates=2,
        sampling=Sampling(),
    )
    assert asked == [[["A"], ["A"], ["B"], ["B"], ["A"], ["A"]]]
    assert all(parse(one.text).ok for several in made for one in several)


def test_names_that_nothing_would_come_of_are_refused(generator):
    with pytest.raises(ValueError, match=r"names of 1 prompts for 1, constrain=False"):
        generator.generate([], ["One."], max_tokens=8, names=[["A"]])
    with pytest.raises(ValueError, match=r"names of 1 prompts for 2, constrain=True"):
        generator.generate([], ["One.", "Two."], max_tokens=8, constrain=True, names=[["A"]])
