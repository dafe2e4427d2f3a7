"""Regular expressions as arguments of string methods."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vlsm_jax.flexscript import Fault
from vlsm_jax.flexscript.patterns import Pattern


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('"a1b22".match(/[0-9]+/g)', ["1", "22"]),
        ('"a1b22".match(/([a-z])([0-9]+)/)', ["a1", "a", "1"]),
        ('"abc".match(/x/)', []),
        ('"aAa".match(/a/gi)', ["a", "A", "a"]),
        ('"a1b2".replace(/[0-9]/g, "#")', "a#b#"),
        ('"a1b2".replace(/[0-9]/, "#")', "a#b2"),
        ('"John Smith".replace(/(\\w+) (\\w+)/, "$2, $1")', "Smith, John"),
        ('"ab".replace(/b/, "$&$&$$")', "abb$"),
        ('"a-b_c".split(/[-_]/)', ["a", "b", "c"]),
        ('"abab".replace(/(?<first>a)(?<second>b)/g, "$<second>$<first>")', "baba"),
        ('"xaay".match(/(?<twice>a)\\k<twice>/)', ["aa", "a"]),
        ('"abc".search(/c/)', 3),
        ('"abc".search(/x/)', -1),
        ('"abc".includes(/B/i)', 1),
        ('"a/b".search(/[/]/)', 2),
        ('"a\\nb".match(/a$/)', []),
        ('"x{y".search(/{/)', 2),
    ],
)
def test_regular_expressions(returned, text, expected):
    assert returned(f"return {text};") == expected


def test_a_slash_behind_a_value_divides(returned):
    assert returned("int a = 8; return Math.max(a / 2 / 2, 1);") == 2


@pytest.mark.parametrize("pattern", ["(a+)+b", "(a|aa)+$", "(.*)*x", "((a*)*)*b"])
def test_catastrophic_patterns_run_out_of_time(failed, pattern):
    began = time.perf_counter()
    outcome = failed(f'"{"a" * 60}".repeat(50).match(/{pattern}/g); while (1) {{}}')
    assert outcome.code == "budget"
    assert time.perf_counter() - began < 5


@pytest.mark.parametrize(
    "pattern", ["(", "(?P<n>a)", "(?i)a", "a" * 600, "((((a{999}){999}){999}){999})", "(?R)", "(?#x)"]
)
def test_what_is_no_ecma_pattern_is_refused(failed, pattern):
    assert failed(f'"a".search(/{pattern}/);').code == "regular expression"


@given(st.text(alphabet="ab()[]{}|*+?.^$\\d,1-:=!<>", max_size=15), st.text(alphabet="ab1 ", max_size=10))
def test_any_pattern_matches_or_raises_a_fault(source, text):
    try:
        for match in Pattern(source, "g").matches(text):
            assert match[0] in text
    except Fault:
        pass
