"""Every command of FlexSim has its place: implemented, accepted without a screen, refused, or not supported by name."""

import math

import pytest

from vlsm_jax.flexscript import known_commands
from vlsm_jax.flexscript.calls import _PARAMETER_COMMANDS
from vlsm_jax.flexscript.specials import SPECIAL
from vlsm_jax.simulator import build, headless
from vlsm_jax.simulator.names import vocabulary

_SYNTAX = {"if", "else", "for", "while", "switch", "case", "default", "break", "continue", "return"}


def test_every_command_is_in_one_place_at_most():
    known, lists = set(known_commands()), headless.names()
    assert lists["accepted"] <= known
    assert lists["refused"] <= known
    assert not lists["accepted"] & lists["refused"]
    assert not (lists["accepted"] | lists["refused"]) & _SYNTAX
    implemented = set(vocabulary().commands) | set(SPECIAL) | set(_PARAMETER_COMMANDS) | set(vocabulary().loops)
    assert len(implemented & known) > 850


@pytest.mark.parametrize(
    "name",
    ["repaintall", "drawcube", "glBegin", "createview", "soundplay", "undo", "switch_selected", "flyto", "windowshow"],
)
def test_what_needs_a_screen_is_accepted(name):
    built = build(f"print({name}());")
    assert (built.ok, built.output) == (True, ("0",))


@pytest.mark.parametrize(
    "name",
    ["fileopen", "excelopen", "dbopen", "clientcreate", "socketinit", "runprogram", "applicationcommand", "cmdexit"],
)
def test_what_leaves_the_model_is_refused(name):
    (diagnostic,) = build(f"{name}();").diagnostics
    assert (diagnostic.code, diagnostic.message.split(" ")[0]) == ("refused command", name)


def test_every_known_command_can_be_named():
    text = "int never; if (never) {\n" + "\n".join(
        f"{name}({', '.join(['0'] * known.arity[0])});"
        for name, known in known_commands().items()
        if name.isidentifier()
        and known.signature.startswith("(")
        and name not in _SYNTAX
        and name not in vocabulary().loops
        and "[0.9" not in known.signature  # a list of values, no optional parameter
    )
    built = build(text + "\n}\nprint(1);")
    errors = [str(d) for d in built.diagnostics if d.severity.value == "error"]
    assert not [e for e in errors if "Unknown command" in e]
    assert not [e for e in errors if "not enough parameters" in e and "repeat" not in e], errors[:3]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("add(2, 3) + sub(5, 1) + mul(2, 4)", 17),
        ("divide(7, 2)", 3.5),
        ("div(7, 2)", 3),
        ("eq(1, 1) + ne(1, 2) + lt(1, 2) + le(2, 2) + gt(2, 1) + ge(2, 2)", 6),
        ("eq(NULL, 0)", 1),
        ("maxof(2, 5) * 10 + minof(2, 5)", 52),
        ("bitwiseand(6, 3) + bitwiseor(6, 3) + bitwisexor(6, 3) + bitwisenot(0)", 13),
        ("sqr(3) + sqrt(16) + pow(2, 3)", 21),
        ("fabs(-2.5) + floor(2.7) + ceil(2.2) + round(2.5) + trunc(2.9)", 12.5),
        ("frac(2.25) + fmod(7.5, 2)", 1.75),
        ("sign(-3) + factorial(5)", 119),
        ("max(1, 7, 3) - min(4, 2)", 5),
        ("log(exp(2)) + log10(1000)", 5),
        ("degreestoradians(180) + radianstodegrees(0)", math.pi),
        ("sin(0) + cos(0) + tan(0) + asin(0) + acos(1) + atan(0) + atan2(0, 1)", 1),
        ("listsum(3, 1, 2, 3) + listmax(2, 4, 9, 99) + listmin(2, 4, 9) + listmean(2, 1, 3) + listmul(2, 3, 4)", 33),
        ("listinlist(2, 5, 4, 5) * 10 + listinlist(1, 5, 4, 5)", 10),
        ("listsub(3, 9, 2, 3)", 4),
        ("cm(50) + ft(1) + in(10)", 0.5 + 0.3048 + 0.254),
        ("mph(1) + fps(1) + fpm(60)", 0.44704 + 0.3048 + 0.3048),
        ("qstudentt(0.95, 9)", 2.262157),
        ("calculateconfidence(2, 10, 0.95)", 2.262157 * 2 / math.sqrt(10)),
        ("Math.clamp(9, 1, 5) + Math.sign(-2) + Math.fabs(-3)", 7),
        ("Math.round(2.345, 2) + Math.trunc(-2.5)", 0.35),
        ("Math.pi - pi()", 0),
    ],
)
def test_mathematical_commands(returned, text, expected):
    assert returned(f"return {text};") == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(
    ("name", "rgb"), [("colorlime", "0.5, 1, 0"), ("colorteal", "0, 0.5, 0.5"), ("colorbrown", "0.5, 0.25, 0")]
)
def test_color_commands(name, rgb):
    text = 'Object q = Object.create("Queue"); q.name = "Q"; '
    assert build(f"{text}{name}(q); print(q.color);").output == (f"Color({rgb}, 1)",)
    assert build(f"{text}colorrgb(q, 1, 0.5, 0); print(getcolorcomponent(q, 2));").output == ("0.5",)
    first, second = (build(f"{text}colorrandom(q); print(q.color);").output for _ in range(2))
    assert first == second
